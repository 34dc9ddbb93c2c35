"""A database is connected, used in its own event loop and closed; anything else is refused in plain words."""

import asyncio
import gc
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from database import Database, Settings, StoreError, sqlite
from database.errors import (
    ConfigurationError,
    ConnectionLostError,
    CorruptionError,
    NotConnectedError,
    NotMigratedError,
    WrongLoopError,
)
from tests.support import PostgresCopies, on_postgresql, on_sqlite


async def use(database: Database) -> object:
    return await database.fetch_value("SELECT 1")


def connected(database: Database) -> bool:
    return database.is_connected


async def test_before_and_after_it_is_connected_it_is_refused(fresh_url: str) -> None:
    database = Database(fresh_url)
    for _ in range(2):
        assert not connected(database)
        with pytest.raises(NotConnectedError):
            await use(database)
        with pytest.raises(RuntimeError):
            async with database.transaction():
                pass
        with pytest.raises(NotConnectedError):
            await database.migrate()
        await database.connect()
        await database.connect()
        assert connected(database)
        assert await use(database) == 1
        await database.close()
        await database.close()


async def test_closing_leaves_no_connection(fresh_url: str) -> None:
    async with Database(fresh_url) as database:
        await asyncio.gather(*(use(database) for _ in range(5)))
    # An open connection is a ResourceWarning here, and a warning is an error.
    gc.collect()
    assert not database.is_connected


async def test_a_unit_that_outlives_its_database_leaves_no_connection(fresh_url: str) -> None:
    threads = set(threading.enumerate())
    database = Database(fresh_url)
    await database.connect()

    async def unit() -> object:
        async with database.transaction() as session:
            connection = await session.core()
            await database.close()
            return (await connection.exec_driver_sql("SELECT 1")).scalar_one()

    assert await unit() == 1
    await asyncio.sleep(0.05)
    gc.collect()
    assert set(threading.enumerate()) == threads


def test_another_event_loop_is_refused(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/chat.db")

    async def connect() -> None:
        await database.connect()
        assert await use(database) == 1

    async def again() -> None:
        with pytest.raises(WrongLoopError):
            await use(database)
        with pytest.raises(WrongLoopError):
            await database.migrate()
        health = await database.health()
        assert health.status == "error"
        assert "event loop" in health.message

    async def close() -> None:
        await database.close()

    with asyncio.Runner() as runner:
        runner.run(connect())
        asyncio.run(again())
        runner.run(close())


async def test_nothing_is_opened_before_the_first_use() -> None:
    async with Database("postgresql://nobody@127.0.0.1:1/nowhere") as database:
        assert database.is_connected
        with pytest.raises(ConnectionLostError):
            await use(database)


@on_postgresql
async def test_a_session_reads_from_the_replica(fresh_url: str, postgres_copies: PostgresCopies) -> None:
    replica_url = await postgres_copies.empty()
    async with Database(replica_url) as replica:
        await replica.execute("CREATE TABLE only_there (id INTEGER)")
    settings = Settings(database_url=SecretStr(fresh_url), database_read_url=SecretStr(replica_url))
    async with Database(settings) as database:
        assert await database.table_exists("only_there")
        with pytest.raises(NotMigratedError):
            await database.execute("INSERT INTO only_there VALUES (1)")
    await postgres_copies.drop(replica_url)


async def test_a_file_that_is_no_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    junk = b"not a database, but long enough to be taken for one" * 100
    file = tmp_path / "notes.txt"
    file.write_bytes(junk)
    async with Database(f"sqlite:///{file}") as database:
        with pytest.raises(CorruptionError):
            await use(database)
        assert (await database.health()).status == "error"
    assert file.read_bytes() == junk


async def test_a_file_that_cannot_be_opened_is_said_to_be_so(tmp_path: Path) -> None:
    async with Database(f"sqlite:///{tmp_path}") as database:
        with pytest.raises(ConfigurationError):
            await use(database)


async def test_a_library_of_sqlite_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LEAST_LIBRARY", (99, 0))
    with pytest.raises(ConfigurationError, match="is needed"):
        await Database(":memory:").connect()


@on_sqlite
async def test_every_connection_has_our_settings(fresh_url: str) -> None:
    settings = Settings(database_url=SecretStr(fresh_url), sqlite_busy_timeout_ms=1_234, sqlite_synchronous="NORMAL")

    async def pragmas(database: Database) -> list[object]:
        names = ["journal_mode", "foreign_keys", "recursive_triggers", "busy_timeout", "synchronous", "temp_store"]
        return [await database.fetch_value(f"PRAGMA {name}") for name in names]

    async with Database(settings) as database:
        found = await asyncio.gather(*(pragmas(database) for _ in range(3)))
        assert found == [["wal", 1, 1, 1_234, 1, 2]] * 3
        async with database.transaction() as session:
            connection = await session.connection()
            assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar_one() == 1
            assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one() == 1
    async with Database(fresh_url) as database:
        assert await database.fetch_value("PRAGMA synchronous") == 2


async def test_an_error_while_connecting_is_ours() -> None:
    for address in ("postgresql://nobody@127.0.0.1:1/x", "postgresql://nobody@/x?host=/not/there"):
        async with Database(address) as database:
            with pytest.raises(StoreError):
                await database.execute("SELECT 1")
            with pytest.raises(StoreError):
                await database.migrate()
            with pytest.raises(StoreError):
                async with database.sandbox():
                    pass


def test_a_file_that_cannot_be_opened_leaves_no_thread_behind_a_closed_loop(tmp_path: Path) -> None:
    """It would have something to say to the loop, and fail: pytest hears of that."""

    async def look() -> None:
        async with Database(f"sqlite:///{tmp_path}") as database:
            assert (await database.health()).status == "error"

    for _ in range(100):
        asyncio.run(look())
