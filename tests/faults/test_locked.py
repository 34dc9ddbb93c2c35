"""One file of SQLite, many processes: nobody sees that it is locked, and the schema is made once."""

import asyncio
from uuid import UUID

import pytest

from database import Database, migrations
from database.url import parse_url
from repositories import UnitOfWork
from tests.migrations.support import newest
from tests.processes import in_processes
from tests.support import count_statements, on_sqlite

pytestmark = [pytest.mark.faults, on_sqlite]

PROCESSES, WRITERS, TURNS = 5, 10, 2
OPENERS = 20


async def write(url: str, talk: UUID) -> int:
    done = 0
    async with Database(url) as database:

        async def writer() -> None:
            nonlocal done
            for _ in range(TURNS):
                async with UnitOfWork(database) as uow:
                    await uow.messages.append(talk, role="user", content="hello")
                done += 1
                await database.fetch_value("SELECT count(*) FROM messages")

        await asyncio.gather(*(writer() for _ in range(WRITERS)))
    return done


async def open_and_use(url: str) -> int:
    """How many times this process has made the schema."""
    async with Database(url) as database:
        with count_statements() as seen:
            await database.migrate()
        async with UnitOfWork(database) as uow:
            await uow.conversations.create(title="first")
    return sum("CREATE TABLE conversations" in statement for statement in seen)


async def test_fifty_writers_in_five_processes(fresh_database: Database, fresh_url: str) -> None:
    async with UnitOfWork(fresh_database) as uow:
        talk = (await uow.conversations.create(title="busy")).id
    # Whatever one of them raises is raised here.
    done = await in_processes(write, [(fresh_url, talk)] * PROCESSES)
    assert done == [WRITERS * TURNS] * PROCESSES
    async with UnitOfWork(fresh_database) as uow:
        assert await uow.messages.count(talk) == PROCESSES * WRITERS * TURNS


async def test_a_new_file_is_opened_by_twenty_processes_at_once(empty_url: str) -> None:
    made = await in_processes(open_and_use, [(empty_url,)] * OPENERS)
    assert sorted(made) == [0] * (OPENERS - 1) + [1]
    place = parse_url(empty_url)
    assert await migrations.current(place) == (newest(),)
    assert await migrations.drift(place) == []
    async with Database(empty_url) as database:
        assert await database.fetch_value("SELECT count(*) FROM conversations") == OPENERS
        assert await database.fetch_value("PRAGMA integrity_check") == "ok"
