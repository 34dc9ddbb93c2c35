"""A database in memory is one connection: its tasks take turns, and nothing but close() ends it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlmodel import select

from database import Database
from database.errors import ReadOnlyError, TransactionError
from models import Conversation
from tests.factories import ConversationFactory

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
async def memory() -> AsyncIterator[Database]:
    async with Database(":memory:") as database:
        await database.migrate()
        yield database


async def count(database: Database) -> object:
    return await database.fetch_value("SELECT count(*) FROM conversations")


async def test_it_is_migrated_on_its_one_connection(memory: Database) -> None:
    assert await memory.table_exists("conversations")
    await memory.migrate()
    health = await memory.health()
    assert health.status == "ok"
    assert health.revision


async def test_many_tasks_take_turns(memory: Database) -> None:
    async def work(number: int) -> None:
        async with memory.transaction() as session:
            await ConversationFactory.create(session, title=str(number))
        async with memory.session() as session:
            assert (await session.exec(select(Conversation.title).where(Conversation.title == str(number)))).one()
        assert await count(memory)

    await asyncio.gather(*(work(number) for number in range(20)))
    assert await count(memory) == 20


async def test_it_outlives_a_cancelled_statement(memory: Database) -> None:
    async def unit() -> None:
        async with memory.transaction() as session:
            await ConversationFactory.create(session, title="lost")
            await (await session.core()).execute(sa.text(ENDLESS))

    async with memory.transaction() as session:
        await ConversationFactory.create(session, title="kept")
    for _ in range(3):
        task = asyncio.create_task(unit())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await memory.fetch_all("SELECT title FROM conversations") == [{"title": "kept"}]


async def test_it_outlives_cancellation_at_any_moment(memory: Database) -> None:
    async def unit() -> None:
        async with memory.transaction() as session:
            await ConversationFactory.create(session)

    await unit()
    for turns in range(60):
        task = asyncio.create_task(unit())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        found = await count(memory)
        assert isinstance(found, int)
        assert found >= 1


async def test_a_session_reads_only_and_the_next_transaction_writes(memory: Database) -> None:
    with pytest.raises(ReadOnlyError):
        async with memory.session() as session:
            await ConversationFactory.create(session)
    async with memory.transaction() as session:
        await ConversationFactory.create(session)
    assert await count(memory) == 1


async def test_a_task_never_waits_for_itself(memory: Database) -> None:
    async with memory.transaction():
        with pytest.raises(TransactionError):
            await count(memory)
    async with memory.session():
        with pytest.raises(TransactionError):
            await memory.execute("DELETE FROM conversations")
        with pytest.raises(TransactionError):
            await count(memory)
    assert await count(memory) == 0


async def test_its_rows_go_with_its_connection(memory: Database) -> None:
    await memory.close()
    await memory.connect()
    assert not await memory.table_exists("conversations")


@pytest.mark.parametrize("address", [":memory:", "sqlite://", "sqlite:///:memory:"])
async def test_two_are_apart(address: str) -> None:
    async with Database(address) as first, Database(address) as second:
        await first.execute("CREATE TABLE notes (id INTEGER)")
        assert await first.table_exists("notes")
        assert not await second.table_exists("notes")
