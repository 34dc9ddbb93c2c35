"""session() reads: a write in it is refused on both databases, whichever way it is sent."""

import pytest
import sqlalchemy as sa
from sqlmodel import select

from database import Database, Session
from database.errors import NotMigratedError, QueryError, ReadOnlyError
from models import Conversation
from tests.factories import ConversationFactory


async def by_the_orm(session: Session) -> None:
    await ConversationFactory.create(session)


async def by_core(session: Session) -> None:
    await (await session.core()).execute(sa.delete(Conversation))


async def by_text(session: Session) -> None:
    await session.exec(sa.text("UPDATE conversations SET title = 'changed'"))  # type: ignore[call-overload]  # text is taken all the same


async def by_ddl(session: Session) -> None:
    await (await session.core()).execute(sa.text("CREATE TABLE notes (id INTEGER PRIMARY KEY)"))


@pytest.mark.parametrize("write", [by_the_orm, by_core, by_text, by_ddl])
async def test_a_write_is_refused(emptied: Database, write: object) -> None:
    assert callable(write)
    async with emptied.transaction() as session:
        await ConversationFactory.create(session, title="kept")
    with pytest.raises(ReadOnlyError):
        async with emptied.session() as session:
            await write(session)
    async with emptied.session() as session:
        assert list(await session.exec(select(Conversation.title))) == ["kept"]


async def test_a_connection_writes_again_after_it_has_read(emptied: Database) -> None:
    for _ in range(2):
        with pytest.raises(ReadOnlyError):
            async with emptied.session() as session:
                await by_the_orm(session)
        async with emptied.transaction() as session:
            await by_the_orm(session)
    assert await emptied.fetch_value("SELECT count(*) FROM conversations") == 2


@pytest.mark.parametrize("verb", ["fetch_all", "fetch_one", "fetch_value"])
async def test_a_fetch_of_the_raw_door_writes_nothing(fresh_database: Database, verb: str) -> None:
    await fresh_database.execute("CREATE TABLE counters (value INTEGER)")
    with pytest.raises(ReadOnlyError):
        await getattr(fresh_database, verb)("INSERT INTO counters VALUES (1) RETURNING value")
    assert await fresh_database.fetch_all("SELECT * FROM counters") == []


async def test_one_picture_of_the_rows_during_a_session_on_sqlite(emptied: Database, backend: str) -> None:
    async with emptied.session() as reader:
        before = len((await reader.exec(select(Conversation))).all())
        async with emptied.transaction() as writer:
            await ConversationFactory.create(writer)
        after = len((await reader.exec(select(Conversation))).all())
    # PostgreSQL reads what is committed at each statement, SQLite what was at the first.
    assert (before, after) == (0, 1 if backend == "postgresql" else 0)


async def test_sql_that_makes_no_sense_is_said_to_be_so(emptied: Database) -> None:
    with pytest.raises(QueryError):
        await emptied.fetch_all("SELEC 1")
    with pytest.raises(QueryError):
        await emptied.fetch_all("SELECT colour FROM conversations")
    with pytest.raises(NotMigratedError):
        await emptied.fetch_all("SELECT * FROM not_there")
