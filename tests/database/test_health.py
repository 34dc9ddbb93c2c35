"""health() answers always: what the database is, or in a sentence why it does not answer."""

import pytest
from pydantic import SecretStr

from database import Database, Settings
from database.url import parse_url


async def test_a_database_that_answers(fresh_database: Database, backend: str) -> None:
    health = await fresh_database.health()
    assert health.status == "ok"
    assert health.database == fresh_database.url.database
    assert health.version is not None
    assert health.version.startswith("postgresql 18." if backend == "postgresql" else "sqlite 3.")
    assert health.revision
    assert health.pool is not None
    assert health.pool.checked_out == 0


async def test_the_pool_is_counted(fresh_database: Database, backend: str) -> None:
    async with fresh_database.transaction() as session:
        await session.core()
        health = await fresh_database.health()
        assert health.pool is not None
        assert health.pool.checked_out == 1
        assert health.pool.size == (1 if backend == "sqlite" else 10)


async def test_a_database_without_tables_has_no_revision(empty_url: str) -> None:
    async with Database(empty_url) as database:
        health = await database.health()
        assert (health.status, health.revision) == ("ok", None)


async def test_a_database_that_is_not_connected(fresh_url: str) -> None:
    health = await Database(fresh_url).health()
    assert health.status == "error"
    assert "not connected" in health.message
    assert (health.version, health.revision, health.pool) == (None, None, None)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ada:hush-hush@127.0.0.1:1/chat",
        "postgresql://ada:hush-hush@no-such-host.invalid/chat",
        "postgresql://ada:hush-hush@/chat?host=/not/there",
        "sqlite:////dev",
    ],
)
async def test_a_database_that_is_not_reached(address: str) -> None:
    async with Database(Settings(database_url=SecretStr(address), connect_timeout=2)) as database:
        health = await database.health()
    assert health.status == "error"
    assert "hush-hush" not in repr(health)
    assert (health.host, health.port) == (parse_url(address).host, parse_url(address).port)


async def test_a_server_without_the_database(postgres_server: str) -> None:
    url = parse_url(postgres_server).set(database="not_there")
    async with Database(url) as database:
        health = await database.health()
    assert (health.status, health.message) == ("error", "the server has no such database")


async def test_a_refused_login(postgres_server: str) -> None:
    url = parse_url(postgres_server).set(username="nobody_here", password="hush-hush")
    async with Database(url) as database:
        health = await database.health()
    assert (health.status, health.message) == ("error", "the server refused the login")
