"""Positions: many tasks in many processes leave 1..n, each writer's own order, and counters that equal the rows."""

import asyncio
from collections import defaultdict
from uuid import UUID

import pytest

from database import Database
from repositories import UnitOfWork
from tests.processes import in_processes

pytestmark = pytest.mark.faults

TASKS, TURNS, TALKS = 6, 4, 4


async def write(url: str, busy: UUID, others: list[UUID], process: int) -> list[list[tuple[UUID, int]]]:
    """What each task was told: where its messages stand, in the order of its writes."""
    async with Database(url) as database:

        async def one(task: int) -> list[tuple[UUID, int]]:
            told = []
            for turn in range(TURNS):
                for talk in (busy, others[task % len(others)]):
                    async with UnitOfWork(database) as uow:
                        record = await uow.messages.append(
                            talk, role="user", name=f"{process} {task}", content=str(turn), input_tokens=3
                        )
                    told.append((talk, record.position))
            return told

        return await asyncio.gather(*(one(task) for task in range(TASKS)))


@pytest.mark.parametrize("processes", [1, 4])
async def test_positions(fresh_database: Database, fresh_url: str, processes: int) -> None:
    async with UnitOfWork(fresh_database) as uow:
        talks = [(await uow.conversations.create(title="busy")).id for _ in range(TALKS)]
    calls = [(fresh_url, talks[0], talks[1:], process) for process in range(processes)]
    told = [one for process in await in_processes(write, calls) for one in process]
    acknowledged: defaultdict[UUID, list[int]] = defaultdict(list)
    for writer in told:
        of_writer: defaultdict[UUID, list[int]] = defaultdict(list)
        for talk, position in writer:
            of_writer[talk].append(position)
        for talk, positions in of_writer.items():
            assert positions == sorted(positions), "a writer's own order"
            acknowledged[talk] += positions
    assert sum(map(len, acknowledged.values())) == processes * TASKS * TURNS * 2
    assert len(acknowledged[talks[0]]) == processes * TASKS * TURNS
    async with UnitOfWork(fresh_database) as uow:
        for id in talks:
            n = len(acknowledged[id])
            assert sorted(acknowledged[id]) == [*range(1, n + 1)]
            history = await uow.messages.history(id, last=1000)
            assert [record.position for record in history] == [*range(1, n + 1)]
            row = await uow.conversations.get(id)
            assert (row.last_position, row.message_count, row.input_tokens) == (n, n, 3 * n)
            turns: defaultdict[str | None, list[str]] = defaultdict(list)
            for record in history:
                turns[record.name].append(record.content)
            assert all(contents == [str(turn) for turn in range(TURNS)] for contents in turns.values())
