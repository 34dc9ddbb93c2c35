"""States: no increment of many writers is lost, who comes too late is told, and keys do not disturb each other."""

import asyncio
import random
from uuid import UUID

import pytest

from database import Database
from database.errors import StaleVersionError
from repositories import UnitOfWork
from tests.processes import in_processes

pytestmark = pytest.mark.faults

PROCESSES, TASKS, TURNS = 5, 10, 1
KEYS = ("one", "two")


async def increment(url: str, talk: UUID, seed: int) -> tuple[dict[str, int], int]:
    """How many increments of each key were acknowledged, and how often a version was stale."""
    acknowledged, stale, dice = dict.fromkeys(KEYS, 0), 0, random.Random(seed)
    async with Database(url) as database:
        unit = UnitOfWork(database)

        async def once(key: str) -> None:
            async def work(uow: UnitOfWork) -> None:
                state = await uow.states.get(talk, key)
                await asyncio.sleep(0)
                await uow.states.compare_and_set(talk, key, int(str(state.state_value)) + 1, version=state.version)

            await unit.run(work)

        async def writer(number: int) -> None:
            nonlocal stale
            key = KEYS[number % 2]
            for _ in range(TURNS):
                while True:
                    try:
                        await once(key)
                    except StaleVersionError:
                        stale += 1
                        await asyncio.sleep(dice.random() * 0.2)
                    else:
                        acknowledged[key] += 1
                        break

        await asyncio.gather(*(writer(number) for number in range(TASKS)))
    return acknowledged, stale


async def test_no_increment_is_lost(fresh_database: Database, fresh_url: str, backend: str) -> None:
    async with UnitOfWork(fresh_database) as uow:
        talk = (await uow.conversations.create(title="busy")).id
        for key in KEYS:
            await uow.states.set(talk, key, 0)
    done = await in_processes(increment, [(fresh_url, talk, seed) for seed in range(PROCESSES)])
    async with UnitOfWork(fresh_database) as uow:
        for key in KEYS:
            acknowledged = sum(counts[key] for counts, _ in done)
            assert acknowledged == PROCESSES * TASKS * TURNS // 2
            state = await uow.states.get(talk, key)
            assert (state.state_value, state.version) == (acknowledged, acknowledged + 1)
    # On SQLite a unit that writes is alone from its beginning; on PostgreSQL they did meet.
    assert (sum(stale for _, stale in done) > 0) is (backend == "postgresql")


async def test_who_comes_too_late_is_told(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database) as uow:
        talk = (await uow.conversations.create(title="busy")).id
        read = await uow.states.set(talk, "mood", "calm")
        await uow.states.set(talk, "place", "Oslo")

    async def write(value: str) -> None:
        async with UnitOfWork(fresh_database) as uow:
            await uow.states.set(talk, "place", value)
            await uow.states.compare_and_set(talk, "mood", value, version=read.version)

    outcomes = await asyncio.gather(*(write(f"mood {n}") for n in range(10)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] + ["StaleVersionError"] * 9
    winner = next(n for n, outcome in enumerate(outcomes) if outcome is None)
    async with UnitOfWork(fresh_database) as uow:
        assert dict(await uow.states.mapping(talk)) == {"mood": f"mood {winner}", "place": f"mood {winner}"}
        assert (await uow.states.get(talk, "mood")).version == read.version + 1
