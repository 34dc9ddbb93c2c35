"""A sandbox undoes whatever a test does in it, on aiosqlite as on asyncpg: the fixtures stand on this."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlmodel import select

from database import Database, Session
from database.errors import DuplicateError, TransactionError
from models import Conversation
from tests.factories import ConversationFactory, PersonaFactory
from tests.models.catalogue import insert


async def count(database: Database) -> object:
    return await database.fetch_value("SELECT count(*) FROM conversations")


async def test_what_was_committed_inside_is_seen_inside_and_gone_after(database: Database) -> None:
    assert await count(database) == 0
    async with database.sandbox() as session:
        await ConversationFactory.create(session)
        async with database.transaction() as unit:
            await ConversationFactory.create(unit)
        await database.execute("INSERT INTO personas SELECT * FROM personas WHERE 1 = 0")
        assert await count(database) == 2
    assert await count(database) == 0


async def test_a_failed_unit_inside_undoes_itself_alone(database: Database) -> None:
    async def unit() -> None:
        async with database.transaction() as session:
            chat = await ConversationFactory.create(session)
            await insert(session, chat)

    async with database.sandbox() as session:
        await ConversationFactory.create(session, title="kept")
        with pytest.raises(DuplicateError):
            await unit()
        assert list(await session.exec(select(Conversation.title))) == ["kept"]
        with pytest.raises(TransactionError):
            await swallowing(database)
        assert await count(database) == 1
    assert await count(database) == 0


async def swallowing(database: Database) -> None:
    async with database.transaction() as session:
        chat = await ConversationFactory.create(session)
        with pytest.raises(DuplicateError):
            await insert(session, chat)


async def test_a_unit_inside_a_unit_is_a_savepoint_inside(database: Database) -> None:
    async with database.sandbox():
        async with database.transaction() as outer:
            await PersonaFactory.create(outer)
            async with database.transaction() as inner:
                await ConversationFactory.create(inner)
        assert await count(database) == 1


@pytest.mark.parametrize("error", [RuntimeError(), asyncio.CancelledError()])
async def test_an_error_that_leaves_the_sandbox_undoes_it_too(database: Database, error: BaseException) -> None:
    async def failing() -> None:
        async with database.sandbox() as session:
            await ConversationFactory.create(session)
            raise error

    with pytest.raises(type(error)):
        await failing()
    assert await count(database) == 0
    async with database.transaction() as session:
        await (await session.core()).execute(sa.text("DELETE FROM conversations"))


async def test_ddl_inside_is_undone(database: Database) -> None:
    async with database.sandbox():
        await database.execute("CREATE TABLE notes (id INTEGER)")
        assert await database.table_exists("notes")
    assert not await database.table_exists("notes")


# The fixture itself, in two tests of which each would see what the other has left.


@pytest.mark.parametrize("turn", [1, 2])
async def test_the_fixture_begins_empty(session: Session, database: Database, turn: int) -> None:
    assert await count(database) == 0
    await ConversationFactory.create()
    async with database.transaction() as unit:
        await ConversationFactory.create(unit)
    assert await count(database) == 2


@pytest.mark.parametrize("turn", [1, 2])
async def test_a_database_of_the_tests_own_begins_empty(fresh_database: Database, turn: int) -> None:
    assert await count(fresh_database) == 0
    async with fresh_database.transaction() as session:
        await ConversationFactory.create(session)
    assert await count(fresh_database) == 1
