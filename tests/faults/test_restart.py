"""A restart of the server needs none of the application: no call by hand, nothing acknowledged lost or doubled."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from database import Database
from models import new_id
from repositories import UnitOfWork
from scripts.torture.server import Server
from tests.database.test_postgres import kill_others, settings_for
from tests.support import PostgresCopies

pytestmark = pytest.mark.faults

WRITERS, RESTARTS, BETWEEN = 4, 2, 5
PATIENT = 120
"""Seconds."""


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    """One of our own: others use that of the session."""
    server = Server()
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


async def test_writers_go_on_through_restarts(server: Server) -> None:
    acknowledged: dict[UUID, int] = {}
    done = False

    async def writer(database: Database, talk: UUID) -> None:
        while not done:
            key = new_id()

            async def append(uow: UnitOfWork, key: UUID = key) -> int:
                return (await uow.messages.append(talk, role="user", content="hello", id=key)).position

            acknowledged[key] = await UnitOfWork(database).run(append, idempotent=True, retries=100, deadline=PATIENT)

    async def more_than_before() -> None:
        aim = len(acknowledged) + BETWEEN * WRITERS
        while len(acknowledged) < aim:  # noqa: ASYNC110  # the writers tell nobody
            await asyncio.sleep(0.02)

    async with asyncio.timeout(PATIENT), Database(await server.new_database()) as database:
        await database.migrate()
        async with UnitOfWork(database) as uow:
            talk = (await uow.conversations.create(title="busy")).id
        writers = [asyncio.create_task(writer(database, talk)) for _ in range(WRITERS)]
        started = set()
        for _ in range(RESTARTS):
            await more_than_before()
            started.add(await database.fetch_value("SELECT CAST(pg_postmaster_start_time() AS TEXT)"))
            assert await server.restart()
        await more_than_before()
        started.add(await database.fetch_value("SELECT CAST(pg_postmaster_start_time() AS TEXT)"))
        assert len(started) == RESTARTS + 1, "the fault was there"
        done = True
        await asyncio.gather(*writers)
        async with UnitOfWork(database) as uow:
            rows = await uow.fetch_all("SELECT id, position FROM messages", columns={"id": UUID})
            row = await uow.conversations.get(talk)
    stored = {found["id"]: found["position"] for found in rows}
    assert stored == acknowledged
    assert sorted(acknowledged.values()) == [*range(1, len(stored) + 1)]
    assert (row.message_count, row.last_position) == (len(stored), len(stored))


async def test_after_a_restart_no_call_fails(server: Server) -> None:
    """Nobody wrote meanwhile: a plain call, without a retry, finds every connection dead and makes a new one."""
    async with asyncio.timeout(PATIENT), Database(await server.new_database()) as database:
        await asyncio.gather(*(database.fetch_value("SELECT pg_sleep(0.05)") for _ in range(5)))
        assert await server.restart()
        assert await asyncio.gather(*(database.fetch_value("SELECT 1") for _ in range(5))) == [1] * 5
        await database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")


@pytest.mark.parametrize("ping_after", [0, 3_600])
async def test_connections_that_were_killed_while_they_idled(postgres_copies: PostgresCopies, ping_after: int) -> None:
    url = await postgres_copies.migrated()
    async with asyncio.timeout(PATIENT):
        async with Database(settings_for(url, ping_after=ping_after)) as database, Database(url) as other:
            for _ in range(3):
                await asyncio.gather(*(database.fetch_value("SELECT pg_sleep(0.05)") for _ in range(5)))
                await kill_others(other)
                async with database.transaction() as session:
                    await (await session.core()).exec_driver_sql("SELECT 1")
                assert await asyncio.gather(*(database.fetch_value("SELECT 1") for _ in range(5))) == [1] * 5
    await postgres_copies.drop(url)
