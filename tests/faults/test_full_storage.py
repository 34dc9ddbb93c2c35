"""A full disk: what was acknowledged is there, what was refused is not, and it goes on when there is room again."""

from uuid import UUID

import pytest

from database import Database
from database.errors import StorageFullError
from repositories import UnitOfWork
from repositories.integrity import PARTS
from tests.support import on_sqlite

pytestmark = pytest.mark.faults

ROOM = 60
"""Pages that are left."""


async def allow(database: Database, pages: int) -> None:
    async with database.transaction() as session:
        await (await session.connection()).exec_driver_sql(f"PRAGMA max_page_count = {pages}")


@on_sqlite
async def test_a_full_disk_loses_nothing(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database) as uow:
        talk = (await uow.conversations.create(title="talk")).id
    pages = await fresh_database.fetch_value("PRAGMA page_count")
    assert isinstance(pages, int)
    await allow(fresh_database, pages + ROOM)
    acknowledged: list[UUID] = []
    refused = 0

    while refused < 5:
        try:
            async with UnitOfWork(fresh_database) as uow:
                said = [await uow.messages.append(talk, role="user", content="word " * 400) for _ in range(2)]
            acknowledged += [message.id for message in said]
        except StorageFullError:
            refused += 1

    assert len(acknowledged) >= 20
    async with UnitOfWork(fresh_database) as uow:
        assert [message.id async for message in uow.messages.stream(talk)] == acknowledged
        assert [fault for part in PARTS.values() for fault in await part.look(uow.session)] == []
    await allow(fresh_database, 1_000_000)
    async with UnitOfWork(fresh_database) as uow:
        after = await uow.messages.append(talk, role="user", content="room again")
    assert after.position == len(acknowledged) + 1
