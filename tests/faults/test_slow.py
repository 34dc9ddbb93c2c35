"""Slow things are bounded: a statement, a lock that is held, a transaction that idles; afterwards all is as before."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from database import Database, Session, Settings
from database.errors import ConnectionLostError, LockTimeoutError, PoolTimeoutError, StatementTimeoutError
from tests.support import on_postgresql, on_sqlite

pytestmark = pytest.mark.faults

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
LIMITS = {
    "statement_timeout_ms": 300,
    "idle_in_transaction_timeout_ms": 300,
    "sqlite_busy_timeout_ms": 300,
    "pool_timeout": 0.3,
}
PATIENT = 60
"""Seconds: whoever is not stopped by a limit is stopped by this, and fails."""


@pytest.fixture
async def database(fresh_url: str) -> AsyncIterator[Database]:
    async with Database(Settings.model_validate({"database_url": fresh_url, **LIMITS})) as database:
        await database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
        await database.execute("INSERT INTO notes VALUES (1)")
        yield database


async def assert_as_good_as_new(database: Database) -> None:
    async with asyncio.timeout(PATIENT):
        await database.execute("UPDATE notes SET id = id + 1")
        await database.execute("UPDATE notes SET id = id - 1")
        assert await database.fetch_all("SELECT id FROM notes") == [{"id": 1}]
    health = await database.health()
    assert health.pool is not None
    assert health.pool.checked_out == 0


@pytest.mark.parametrize("statement", [ENDLESS, f"INSERT INTO notes {ENDLESS}"])
async def test_statements_without_end(database: Database, statement: str) -> None:
    async with asyncio.timeout(PATIENT):
        for _ in range(2):
            with pytest.raises(StatementTimeoutError):
                await database.execute(statement)
        outcomes = await asyncio.gather(*(database.fetch_value(ENDLESS) for _ in range(4)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StatementTimeoutError}
    await assert_as_good_as_new(database)


@on_sqlite
async def test_a_lock_that_another_process_holds(database: Database, fresh_url: str) -> None:
    other = sqlite3.connect(fresh_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(PATIENT):
        with pytest.raises(LockTimeoutError):
            await database.execute("INSERT INTO notes VALUES (2)")
        assert await database.fetch_value("SELECT count(*) FROM notes") == 1
    other.execute("ROLLBACK")
    other.close()
    await assert_as_good_as_new(database)


@on_postgresql
@pytest.mark.parametrize("own_limit", [False, True])
async def test_a_row_that_another_unit_holds(database: Database, own_limit: bool) -> None:
    """The wait is part of the statement, unless a unit gives it a limit of its own."""

    async def second(session: Session) -> None:
        connection = await session.core()
        if own_limit:
            await connection.execute(sa.text("SET LOCAL lock_timeout = 30"))
        await connection.execute(sa.text("UPDATE notes SET id = 2"))

    async def holding() -> None:
        async with (
            Database(database.url.render_as_string(hide_password=False)) as other,
            other.transaction() as session,
        ):
            await (await session.core()).execute(sa.text("UPDATE notes SET id = 3"))
            with pytest.raises(LockTimeoutError if own_limit else StatementTimeoutError):
                await database.run(second, retries=0)
            raise ZeroDivisionError

    async with asyncio.timeout(PATIENT):
        with pytest.raises(ZeroDivisionError):
            await holding()
    await assert_as_good_as_new(database)


@on_postgresql
async def test_a_transaction_that_idles_is_ended_by_the_server(database: Database) -> None:
    async def idling(session: Session) -> None:
        connection = await session.core()
        await connection.execute(sa.text("UPDATE notes SET id = 7"))
        while await database.fetch_value(IDLE):  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.05)
        await connection.execute(sa.text("SELECT 1"))

    async with asyncio.timeout(PATIENT):
        with pytest.raises(ConnectionLostError):
            await database.run(idling, retries=0)
    await assert_as_good_as_new(database)


IDLE = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"


@on_sqlite
async def test_who_waits_for_a_transaction_that_idles_is_told(database: Database, fresh_url: str) -> None:
    """Nobody ends it there, but nobody waits for it for ever: not in its process, nor in another."""

    async def second(database: Database) -> None:
        await database.execute("INSERT INTO notes VALUES (2)")

    async with asyncio.timeout(PATIENT):
        async with database.transaction() as session:
            await (await session.core()).execute(sa.text("SELECT 1"))
            with pytest.raises(PoolTimeoutError):
                await asyncio.create_task(second(database))
            async with Database(database.settings) as other:
                with pytest.raises(LockTimeoutError):
                    await second(other)
        await assert_as_good_as_new(database)
