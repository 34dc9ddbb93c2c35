"""What only PostgreSQL has: timeouts, lost connections, a server too old, and pgvector that comes later."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from database import Database, Session, Settings, postgres
from database.errors import (
    CommitUnknownError,
    ConfigurationError,
    ConnectionLostError,
    LockTimeoutError,
    SerializationError,
    StatementTimeoutError,
    TransactionError,
)
from database.history.transaction import LOCK
from repositories import UnitOfWork
from repositories.search import build_indexes
from tests.factories import ConversationFactory
from tests.support import PostgresCopies

KILL_ME = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
async def url(postgres_copies: PostgresCopies) -> AsyncIterator[str]:
    url = await postgres_copies.migrated()
    yield url
    await postgres_copies.drop(url)


def settings_for(url: str, **fields: object) -> Settings:
    return Settings.model_validate({"database_url": url, **fields})


async def kill_others(database: Database) -> None:
    """End every other connection to this database, as a restart of the server or a firewall does."""
    everyone = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    await database.fetch_value(f"SELECT count(pg_terminate_backend(pid)) FROM {everyone}")
    still_there = f"SELECT count(*) FROM {everyone} AND backend_type = 'client backend'"
    while await database.fetch_value(still_there):  # noqa: ASYNC110  # the server tells nobody
        await asyncio.sleep(0.01)


async def test_a_statement_that_takes_too_long_is_stopped(url: str) -> None:
    async with Database(settings_for(url, statement_timeout_ms=50)) as database:
        with pytest.raises(StatementTimeoutError) as caught:
            await database.fetch_value("SELECT pg_sleep(60)")
        assert caught.value.code == "57014"
        assert await database.fetch_value("SELECT 1") == 1


async def test_the_server_knows_our_settings(url: str) -> None:
    given = settings_for(url, application_name="chat", statement_timeout_ms=1_000, idle_in_transaction_timeout_ms=2_000)
    names = ["application_name", "statement_timeout", "idle_in_transaction_session_timeout"]
    async with Database(given) as database:
        assert [await database.fetch_value(f"SHOW {name}") for name in names] == ["chat", "1s", "2s"]
    separator = "&" if "?" in url else "?"
    async with Database(f"{url}{separator}application_name=other") as database:
        shown = [await database.fetch_value(f"SHOW {name}") for name in names]
        assert shown == ["other", "30s", "1min"]


@pytest.mark.parametrize("ping_after", [0, 3_600])
async def test_an_idle_connection_that_died_is_replaced(url: str, ping_after: int) -> None:
    async with Database(settings_for(url, ping_after=ping_after)) as database, Database(url) as other:
        pid = await database.fetch_value("SELECT pg_backend_pid()")
        await kill_others(other)
        assert await database.fetch_value("SELECT pg_backend_pid()") != pid
        async with database.transaction() as session:
            await ConversationFactory.create(session)


async def test_where_nobody_tells_of_the_end_a_ping_does(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a firewall forgets a connection; without a ping the first use fails, and the next does not."""
    monkeypatch.setattr(postgres, "has_ended", lambda connection: False)
    for ping_after in (0, 3_600):
        async with Database(settings_for(url, ping_after=ping_after)) as database, Database(url) as other:
            assert await database.fetch_value("SELECT 1") == 1
            await kill_others(other)
            if ping_after:
                with pytest.raises(ConnectionLostError):
                    await database.fetch_value("SELECT 1")
            assert await database.fetch_value("SELECT 1") == 1


async def test_a_unit_whose_connection_breaks_keeps_nothing(url: str) -> None:
    async def breaking(database: Database) -> None:
        async with database.transaction() as session:
            await ConversationFactory.create(session)
            await (await session.core()).execute(sa.text(KILL_ME))

    async with Database(url) as database:
        with pytest.raises(ConnectionLostError):
            await breaking(database)
        assert await database.fetch_value("SELECT count(*) FROM conversations") == 0


async def test_a_unit_that_swallows_the_break_keeps_nothing_and_says_so(url: str) -> None:
    async def swallowing(database: Database) -> None:
        async with database.transaction() as session:
            await ConversationFactory.create(session)
            with pytest.raises(ConnectionLostError):
                await (await session.core()).execute(sa.text(KILL_ME))

    async with Database(url) as database:
        with pytest.raises(TransactionError):
            await swallowing(database)
        assert await database.fetch_value("SELECT count(*) FROM conversations") == 0


async def test_a_savepoint_whose_connection_breaks_says_so(url: str) -> None:
    async with Database(url) as database:
        with pytest.raises(ConnectionLostError):
            async with database.transaction() as session, session.nested():
                await (await session.core()).execute(sa.text(KILL_ME))


async def test_a_commit_whose_answer_is_lost_is_said_to_be_unknown(url: str) -> None:
    async with Database(url) as database:
        # A deferred trigger runs inside COMMIT, and ends the connection there.
        await database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
        await database.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
        )
        await database.execute(
            "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION die()"
        )
        ran: list[str] = []

        async def unit() -> None:
            async with database.transaction() as session:
                session.on_commit(lambda: ran.append("never"))
                await (await session.core()).execute(sa.text("INSERT INTO notes VALUES (1)"))

        with pytest.raises(CommitUnknownError):
            await unit()
        assert ran == []
        assert await database.fetch_value("SELECT count(*) FROM notes") == 0


async def test_a_lock_that_is_not_released_in_time(url: str) -> None:
    async with Database(url) as database:
        await database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")

        async def second() -> None:
            async with database.transaction() as session:
                connection = await session.core()
                await connection.execute(sa.text("SET LOCAL lock_timeout = 20"))
                await connection.execute(sa.text("INSERT INTO notes VALUES (1)"))

        async with database.transaction() as session:
            await (await session.core()).execute(sa.text("INSERT INTO notes VALUES (1)"))
            with pytest.raises(LockTimeoutError):
                await second()


async def test_the_timeout_of_locks_is_not_for_upkeep(url: str) -> None:
    """Who migrates waits for another who does, and who builds an index for the units that have the table."""

    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"

    async def waits(upkeep: Coroutine[Any, Any, object], holding: str) -> None:
        async with other.transaction() as session:
            await (await session.core()).execute(sa.text(holding))
            task = asyncio.create_task(upkeep)
            while not (task.done() or await other.fetch_value(waiting)):  # noqa: ASYNC110  # the server tells nobody
                await asyncio.sleep(0.01)
            await asyncio.wait([task], timeout=0.05)
            assert not task.done()
        await task

    async with Database(url) as other, Database(settings_for(url, lock_timeout_ms=10)) as database:
        await waits(database.migrate(), f"SELECT pg_advisory_xact_lock({LOCK})")
        async with UnitOfWork(database) as uow:
            space = await uow.embedding_spaces.create(name="plane", dimensions=2)
        await waits(build_indexes(database, space), "DELETE FROM embeddings")


async def test_of_two_that_lock_crosswise_one_is_told(url: str) -> None:
    async with Database(url) as database:
        await database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
        await database.execute("INSERT INTO notes VALUES (1), (2)")
        met = asyncio.Barrier(2)

        async def unit(first: int, second: int) -> None:
            async with database.transaction() as session:
                connection = await session.core()
                await connection.execute(sa.text("SET LOCAL deadlock_timeout = '20ms'"))
                await connection.execute(sa.text(f"SELECT * FROM notes WHERE id = {first} FOR UPDATE"))
                await met.wait()
                await connection.execute(sa.text(f"SELECT * FROM notes WHERE id = {second} FOR UPDATE"))

        outcomes = await asyncio.gather(unit(1, 2), unit(2, 1), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "SerializationError"]
        assert {getattr(outcome, "code", None) for outcome in outcomes} == {None, "40P01"}


async def test_a_serialization_failure_is_one(url: str) -> None:
    async with Database(url) as database:
        await database.execute("CREATE TABLE notes (value INTEGER)")
        await database.execute("INSERT INTO notes VALUES (0)")

        async def unit() -> None:
            async with database.transaction() as session:
                connection = await session.core()
                await connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
                await connection.execute(sa.text("SELECT * FROM notes"))
                await database.execute("UPDATE notes SET value = 2")
                await connection.execute(sa.text("UPDATE notes SET value = 1"))

        with pytest.raises(SerializationError):
            await unit()


async def test_a_server_that_is_too_old_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LEAST_SERVER", (99,))
    async with Database(url) as database:
        with pytest.raises(ConfigurationError, match="PostgreSQL 99 or newer is needed, this is 18"):
            await database.fetch_value("SELECT 1")
        health = await database.health()
        assert health.status == "error"
        assert "99" in health.message


async def test_a_connection_learns_vectors_when_the_extension_comes(postgres_copies: PostgresCopies) -> None:
    url = await postgres_copies.empty()
    async with Database(settings_for(url, pool_size=1, max_overflow=0)) as database:
        pid = await database.fetch_value("SELECT pg_backend_pid()")
        await database.execute("CREATE EXTENSION vector")
        await database.execute("CREATE TABLE points (place vector)")
        await database.execute("INSERT INTO points VALUES (:place)", {"place": np.array([1.0, 2.0])})
        found = await database.fetch_one("SELECT place FROM points", columns={"place": np.ndarray})
        assert found == {"place": [1.0, 2.0]}
        assert await database.fetch_value("SELECT pg_backend_pid()") == pid
    await postgres_copies.drop(url)


async def test_a_connection_for_which_the_pool_has_no_place_is_closed(url: str) -> None:
    count = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    others = count.columns(sa.column("n", sa.BigInteger))
    async with Database(settings_for(url, pool_size=1, max_overflow=2)) as database:

        async def sessions() -> object:
            async with database.session() as session:
                return (await session.read(others, {}))[0][0]

        async with database.session() as one, database.session() as two:
            await one.read(others, {})
            await two.read(others, {})
            assert await sessions() == 3
        async with asyncio.timeout(10):
            while await sessions() != 1:
                # Each question is a round trip: time for the server to end the others.
                pass


async def test_a_migration_does_not_spoil_the_connections_that_are_open(postgres_copies: PostgresCopies) -> None:
    url = await postgres_copies.empty()
    async with Database(url) as database:
        await database.fetch_value("SELECT 1")
        await database.migrate()
        async with database.transaction() as session:
            await ConversationFactory.create(session)
    await postgres_copies.drop(url)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
async def test_the_words_for_tls_are_understood(url: str, mode: str) -> None:
    # A server with TLS is not needed to see that: on a socket the driver leaves it out, as psql does.
    async with Database(f"{url}{'&' if '?' in url else '?'}sslmode={mode}&connect_timeout=5") as database:
        assert await database.fetch_value("SELECT 1") == 1


async def test_tls_files_that_cannot_be_read_are_said_to_be_so(url: str) -> None:
    files = "sslmode=verify-full&sslrootcert=/not/there.pem"
    with pytest.raises(ConfigurationError):
        await Database(f"{url}{'&' if '?' in url else '?'}{files}").connect()


async def test_the_aborted_state_of_the_server_is_our_broken_unit(url: str) -> None:
    async def unit(database: Database) -> None:
        async with database.transaction() as session:
            raw = await raw_connection(session)
            with pytest.raises(Exception, match="division by zero"):
                await raw.execute("SELECT 1/0")
            await (await session.core()).execute(sa.text("SELECT 1"))

    async with Database(url) as database:
        with pytest.raises(TransactionError):
            await unit(database)


async def raw_connection(session: Session) -> Any:
    connection = await session.core()
    await connection.exec_driver_sql("SELECT 1")
    return (await connection.get_raw_connection()).driver_connection
