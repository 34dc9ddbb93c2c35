"""A statement that runs for longer than the settings allow is stopped, alike on both databases."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from database import Database, Settings, migrations
from database.errors import StatementTimeoutError, TransactionError
from database.url import parse_url
from tests.database.test_cancellation import ENDLESS, ENDLESS_WRITE, MANY_ROWS
from tests.migrations.support import write_ini, write_revision
from tests.support import on_sqlite

LONG = "SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) SELECT i FROM n)"
IMPATIENT = {"statement_timeout_ms": 100, "sqlite_busy_timeout_ms": 30_000}


def impatient(url: str, **fields: object) -> Settings:
    return Settings.model_validate({"database_url": url, **IMPATIENT, **fields})


@pytest.fixture
async def database(fresh_url: str) -> AsyncIterator[Database]:
    async with Database(impatient(fresh_url)) as database:
        await database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
        yield database


async def insert(database: Database, id: int) -> None:
    await database.execute("INSERT INTO notes VALUES (:id)", {"id": id})


@pytest.mark.parametrize("statement", [ENDLESS, MANY_ROWS])
async def test_a_read_is_stopped(database: Database, statement: str) -> None:
    with pytest.raises(StatementTimeoutError):
        await database.fetch_all(statement)
    assert await database.fetch_value("SELECT 1") == 1


async def test_a_write_is_stopped_and_nothing_of_its_unit_is_kept(database: Database) -> None:
    async def unit() -> None:
        async with database.transaction() as session:
            connection = await session.core()
            await connection.execute(sa.text("INSERT INTO notes VALUES (1)"))
            await connection.execute(sa.text(ENDLESS_WRITE))

    with pytest.raises(StatementTimeoutError):
        await unit()
    await insert(database, 2)
    assert await database.fetch_all("SELECT id FROM notes") == [{"id": 2}]


async def test_around_a_savepoint_a_unit_goes_on_after_a_read(database: Database) -> None:
    async with database.transaction() as session:
        connection = await session.core()
        await connection.execute(sa.text("INSERT INTO notes VALUES (1)"))
        with pytest.raises(StatementTimeoutError):
            async with session.nested():
                await connection.execute(sa.text(ENDLESS))
        await connection.execute(sa.text("INSERT INTO notes VALUES (2)"))
    assert await database.fetch_value("SELECT count(*) FROM notes") == 2


async def test_around_a_savepoint_a_write_tells_why_it_was_stopped(database: Database, backend: str) -> None:
    """SQLite undoes the whole unit with it, and the unit knows."""

    async def unit() -> None:
        async with database.transaction() as session:
            connection = await session.core()
            await connection.execute(sa.text("INSERT INTO notes VALUES (1)"))
            with pytest.raises(StatementTimeoutError):
                async with session.nested():
                    await connection.execute(sa.text(ENDLESS_WRITE))
            await connection.execute(sa.text("INSERT INTO notes VALUES (2)"))

    if backend == "sqlite":
        with pytest.raises(TransactionError):
            await unit()
    else:
        await unit()
    assert await database.fetch_value("SELECT count(*) FROM notes") in (0, 2)


async def test_what_lies_between_statements_is_not_counted(database: Database) -> None:
    async with database.transaction() as session:
        connection = await session.core()
        await connection.execute(sa.text("INSERT INTO notes VALUES (1)"))
        await asyncio.sleep(0.25)
        await connection.execute(sa.text("INSERT INTO notes VALUES (2)"))
    assert await database.fetch_value("SELECT count(*) FROM notes") == 2


@on_sqlite
async def test_the_line_before_the_writer_has_a_limit_of_its_own(database: Database, fresh_url: str) -> None:
    other = sqlite3.connect(fresh_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    asyncio.get_running_loop().call_later(0.3, other.execute, "ROLLBACK")
    await insert(database, 1)
    other.close()


@on_sqlite
async def test_upkeep_has_no_limit(database: Database, fresh_url: str, tmp_path: Path) -> None:
    rows = 50_000
    while True:
        try:
            await database.fetch_value(LONG.format(rows))
        except StatementTimeoutError:
            break
        rows *= 2
    long = LONG.format(rows * 4)
    async with database.autocommit() as connection:
        assert (await connection.exec_driver_sql(long)).scalar_one() == rows * 4
    write_revision(tmp_path, "slow", f'op.get_bind().exec_driver_sql("{long}")')
    await migrations.upgrade(parse_url(fresh_url), settings=impatient(fresh_url), config=write_ini(tmp_path))
    # The connection that they had is again one with a limit.
    with pytest.raises(StatementTimeoutError):
        await database.fetch_value(ENDLESS)
    with pytest.raises(StatementTimeoutError):
        await database.execute(ENDLESS_WRITE)


async def test_a_database_in_memory_has_it_too(tmp_path: Path) -> None:
    write_revision(tmp_path, "any", "pass")
    async with Database(impatient(":memory:")) as database:
        await database.migrate(config=write_ini(tmp_path))
        with pytest.raises(StatementTimeoutError):
            await database.fetch_value(ENDLESS)
        assert await database.table_exists("messages")
