"""The counting of calls, statements and round trips, on operations whose counts are known."""

import asyncio

from benchmarks.calls import count_calls
from database import Database
from repositories import UnitOfWork
from tests.support import on_postgresql, on_sqlite


def _nothing() -> None:
    pass


async def test_function_calls_are_those_of_the_operation() -> None:
    async def calls(number: int) -> None:
        for _ in range(number):
            _nothing()

    few = await count_calls(lambda: calls(10))
    many = await count_calls(lambda: calls(110))

    assert many.function_calls - few.function_calls == 100
    assert few.function_calls < 20
    assert (many.statements, many.round_trips) == (0, 0)


async def test_statements_are_seen_with_what_frames_them(fresh_database: Database) -> None:
    async def twice() -> None:
        async with UnitOfWork(fresh_database) as uow:
            await uow.fetch_value("SELECT 1")
            await uow.fetch_value("SELECT 2")

    counted = await count_calls(twice)

    assert counted.statements == 2
    assert [text.rstrip(";") for text in counted.sent if "SELECT" in text] == ["SELECT 1", "SELECT 2"]
    assert counted.sent[0].startswith("BEGIN")
    assert counted.function_calls > 100


@on_sqlite
async def test_what_a_trigger_does_is_no_statement_of_its_own(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database) as uow:
        talk = await uow.conversations.create(title="Triggers fill the text index")

    async def append() -> None:
        async with UnitOfWork(fresh_database) as uow:
            await uow.messages.append(talk.id, role="user", content="Hello")

    counted = await count_calls(append)

    assert len(counted.sent) == len(set(counted.sent))


@on_postgresql
async def test_a_round_trip_is_a_wait_for_the_server(fresh_database: Database) -> None:
    async def once() -> None:
        async with UnitOfWork(fresh_database) as uow:
            await uow.fetch_value("SELECT 1")

    counted = await count_calls(once)

    assert counted.round_trips >= counted.statements
    assert counted.round_trips == len(counted.sent)


@on_sqlite
async def test_a_round_trip_is_a_wait_for_a_thread(fresh_database: Database) -> None:
    async def thrice() -> None:
        for _ in range(3):
            await asyncio.to_thread(_nothing)

    assert (await count_calls(thrice)).round_trips == 3
