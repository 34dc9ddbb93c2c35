"""Many tasks and several processes at once: places without gaps, no lost state, counters that equal the rows."""

import asyncio
from uuid import UUID, uuid4

import pytest

from database import Database
from database.errors import StaleVersionError
from repositories import UnitOfWork
from tests.processes import in_processes


async def write_in_own_process(url: str, talk: UUID, name: str) -> None:
    async with Database(url) as database:

        async def write(number: int) -> None:
            async with UnitOfWork(database) as uow:
                await uow.messages.append(talk, role="user", name=name, content=str(number), input_tokens=1)

        await asyncio.gather(*(write(number) for number in range(15)))


async def new_talk(database: Database) -> UUID:
    async with UnitOfWork(database) as uow:
        talk = await uow.conversations.create(title="busy")
        await uow.states.set(talk.id, "count", 0)
    return talk.id


async def test_positions_from_many_tasks(fresh_database: Database) -> None:
    talks = [await new_talk(fresh_database) for _ in range(2)]

    async def write(writer: int) -> list[int]:
        positions = []
        for number in range(10):
            async with UnitOfWork(fresh_database) as uow:
                record = await uow.messages.append(talks[writer % 2], role="user", content=str(number), input_tokens=2)
            positions.append(record.position)
        return positions

    written = await asyncio.gather(*(write(writer) for writer in range(12)))
    for half in (0, 1):
        of_talk = [positions for writer, positions in enumerate(written) if writer % 2 == half]
        assert sorted(position for positions in of_talk for position in positions) == [*range(1, 61)]
        assert all(positions == sorted(positions) for positions in of_talk), "each writer's own order is kept"
    async with UnitOfWork(fresh_database) as uow:
        for id in talks:
            talk = await uow.conversations.get(id)
            assert (talk.last_position, talk.message_count, talk.input_tokens) == (60, 60, 120)
            assert await uow.messages.count(id) == 60


async def test_one_message_from_many_tasks_is_stored_once(fresh_database: Database) -> None:
    talk, key = await new_talk(fresh_database), uuid4()

    async def send() -> int:
        async with UnitOfWork(fresh_database) as uow:
            return (await uow.messages.append(talk, role="user", content="once", id=key)).position

    assert set(await asyncio.gather(*(send() for _ in range(12)))) == {1}
    async with UnitOfWork(fresh_database) as uow:
        row = await uow.conversations.get(talk)
        assert (row.last_position, row.message_count) == (1, 1)
        assert (await uow.messages.append(talk, role="user", content="next")).position == 2


async def test_no_state_is_lost(fresh_database: Database) -> None:
    talk = await new_talk(fresh_database)

    async def add() -> None:
        while True:
            try:
                async with UnitOfWork(fresh_database) as uow:
                    state = await uow.states.get(talk, "count")
                    await uow.states.compare_and_set(talk, "count", state.state_value + 1, version=state.version)
                return
            except StaleVersionError:
                continue

    await asyncio.gather(*(add() for _ in range(20)))
    async with UnitOfWork(fresh_database) as uow:
        state = await uow.states.get(talk, "count")
        assert (state.state_value, state.version) == (20, 21)


@pytest.mark.slow
async def test_several_processes(fresh_database: Database, fresh_url: str) -> None:
    talk = await new_talk(fresh_database)
    await in_processes(write_in_own_process, [(fresh_url, talk, f"writer {number}") for number in range(3)])
    async with UnitOfWork(fresh_database) as uow:
        row = await uow.conversations.get(talk)
        history = await uow.messages.history(talk, last=1000)
    assert [record.position for record in history] == [*range(1, 46)]
    assert (row.last_position, row.message_count, row.input_tokens) == (45, 45, 45)
    assert len({(record.name, record.content) for record in history}) == 45
