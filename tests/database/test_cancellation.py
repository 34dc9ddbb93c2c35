"""A cancelled unit leaves nothing behind: no row, no lock, no connection, with the garbage collector off."""

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from database import Database, Health, Settings
from database.sqlite_cursor import StepCursor
from tests.support import on_postgresql, on_sqlite

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
MANY_ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"

ENDLESS_WRITE = f"INSERT INTO notes {MANY_ROWS} WHERE i > 1"

SHORT = {"sqlite_busy_timeout_ms": 1, "pool_timeout": 5}
"""Who is blocked by a lock that was left behind fails at once."""


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """A lock that only the collector lets go is a lock that stays."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
async def database(fresh_url: str) -> AsyncIterator[Database]:
    settings = Settings.model_validate({"database_url": fresh_url, **SHORT})
    async with Database(settings) as database:
        await database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
        yield database


async def cancelled(unit: "asyncio.Task[None]", *, after: float = 0.02) -> None:
    await asyncio.sleep(after)
    unit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await unit


async def checked_out(database: Database) -> int:
    health: Health = await database.health()
    assert health.pool is not None
    return health.pool.checked_out


async def assert_as_good_as_new(database: Database) -> None:
    assert await checked_out(database) == 0
    assert await database.fetch_value("SELECT count(*) FROM notes") == 0
    await database.execute("INSERT INTO notes VALUES (1)")
    await database.execute("DELETE FROM notes")


async def endless_unit(database: Database, statement: str, *, first: str = "INSERT INTO notes VALUES (1)") -> None:
    async with database.transaction() as session:
        connection = await session.core()
        await connection.execute(sa.text(first))
        await connection.execute(sa.text(statement))


@pytest.mark.parametrize("statement", [ENDLESS, MANY_ROWS, ENDLESS_WRITE])
async def test_a_statement_is_stopped(database: Database, statement: str) -> None:
    for _ in range(3):
        await cancelled(asyncio.create_task(endless_unit(database, statement)))
        await assert_as_good_as_new(database)


async def test_a_stream_is_stopped(database: Database) -> None:
    async def unit() -> None:
        async with database.transaction() as session:
            connection = await session.core()
            await connection.execute(sa.text("INSERT INTO notes VALUES (1)"))
            async with connection.stream(sa.text(MANY_ROWS)) as rows:
                async for _ in rows:
                    pass

    await cancelled(asyncio.create_task(unit()))
    await assert_as_good_as_new(database)


async def test_a_read_is_stopped(database: Database) -> None:
    async def unit() -> None:
        await database.fetch_value(ENDLESS)

    await cancelled(asyncio.create_task(unit()))
    await assert_as_good_as_new(database)


@pytest.mark.parametrize("statement", [ENDLESS, ENDLESS_WRITE])
async def test_a_savepoint_is_undone_with_its_unit(database: Database, statement: str) -> None:
    async def unit() -> None:
        async with database.transaction() as session:
            await (await session.core()).execute(sa.text("INSERT INTO notes VALUES (1)"))
            async with session.nested():
                await (await session.core()).execute(sa.text(statement))

    await cancelled(asyncio.create_task(unit()))
    await assert_as_good_as_new(database)


async def test_a_time_limit_stops_a_statement(database: Database) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await endless_unit(database, ENDLESS)
    await assert_as_good_as_new(database)


@on_sqlite
async def test_cancelled_while_a_cursor_closes_a_unit_is_stopped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = StepCursor.close

    async def cancelled_as_it_closes(cursor: StepCursor) -> None:
        if cursor._open is not None:
            unit.cancel()
        await close(cursor)

    async def reads_one_of_many() -> None:
        async with database.session() as session, (await session.core()).stream(sa.text(MANY_ROWS)) as rows:
            await rows.first()
        await endless_unit(database, ENDLESS)

    monkeypatch.setattr(StepCursor, "close", cancelled_as_it_closes)
    unit = asyncio.create_task(reads_one_of_many())
    try:
        await asyncio.wait([unit], timeout=10)
        assert unit.cancelled()
        assert unit.cancelling() == 1
    finally:
        unit.cancel()
        await asyncio.wait([unit])
    await assert_as_good_as_new(database)


@on_sqlite
async def test_cancelled_while_it_connects_it_leaves_no_file_open(fresh_url: str) -> None:
    for turns in range(0, 60, 3):
        async with Database(fresh_url) as database:
            reads = [asyncio.create_task(database.fetch_value(ENDLESS)) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for read in reads:
                read.cancel()
            await asyncio.wait(reads)
            assert all(read.cancelled() for read in reads)
    assert times_open(Path(fresh_url.removeprefix("sqlite:///"))) == 0


def times_open(file: Path) -> int:
    """In this process."""
    found, inode = 0, file.stat().st_ino
    for descriptor in range(1_024):
        with contextlib.suppress(OSError):
            found += os.fstat(descriptor).st_ino == inode
    return found


@on_sqlite
async def test_who_waits_for_the_writer_leaves_the_line(database: Database) -> None:
    async with database.transaction():
        await cancelled(asyncio.create_task(endless_unit(database, ENDLESS)))
    await assert_as_good_as_new(database)


@on_postgresql
async def test_who_waits_for_a_lock_leaves_the_line(database: Database) -> None:
    async def holding() -> None:
        async with database.transaction() as session:
            await (await session.core()).execute(sa.text("INSERT INTO notes VALUES (1)"))
            await cancelled(asyncio.create_task(endless_unit(database, "SELECT 1")))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await holding()
    await assert_as_good_as_new(database)


async def test_cancelled_at_any_moment_a_unit_is_kept_whole_or_not_at_all(database: Database) -> None:
    kept = 0

    async def unit(number: int) -> None:
        async with database.transaction() as session:
            connection = await session.core()
            for row in (2 * number, 2 * number + 1):
                await connection.execute(sa.text(f"INSERT INTO notes VALUES ({row})"))

    for number in range(1, 41):
        task = asyncio.create_task(unit(number))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        rows = await database.fetch_value(f"SELECT count(*) FROM notes WHERE id / 2 = {number}")
        assert rows in (0, 2)
        kept += rows == 2
    assert await checked_out(database) == 0
    assert await database.fetch_value("SELECT count(*) FROM notes") == 2 * kept


async def test_cancelled_again_and_again_a_unit_is_undone_all_the_same(database: Database) -> None:
    for turns in range(10):
        task = asyncio.create_task(endless_unit(database, ENDLESS))
        await asyncio.sleep(0.02)
        while not task.done():
            task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.wait([task], timeout=0.001)
        assert task.cancelled()
        await assert_as_good_as_new(database)


@on_postgresql
async def test_nothing_stays_idle_in_a_transaction(database: Database) -> None:
    for _ in range(5):
        await cancelled(asyncio.create_task(endless_unit(database, "SELECT pg_sleep(60)")))
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"
    assert await database.fetch_value(idle) == 0


@on_sqlite
async def test_the_connection_of_a_stopped_statement_is_kept(database: Database) -> None:
    await database.execute("CREATE TEMP TABLE mark (id INTEGER)")
    await cancelled(asyncio.create_task(endless_unit(database, ENDLESS)))
    async with database.transaction() as session:
        assert (await (await session.core()).execute(sa.text("SELECT count(*) FROM temp.mark"))).scalar_one() == 0
