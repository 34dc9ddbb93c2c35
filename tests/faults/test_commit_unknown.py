"""A connection that breaks at COMMIT: the same call again finds what it stored, or the caller is told."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from database import Database
from database.errors import CommitUnknownError
from models import new_id
from repositories import UnitOfWork
from repositories.message_record import MessageRecord
from scripts.torture.cuts import cut_commits
from scripts.torture.journal import text_of
from scripts.torture.proxy import Cut, Proxy
from scripts.torture.writers import Orders, new_conversations
from tests.support import on_postgresql

pytestmark = [pytest.mark.faults, on_postgresql]

CUTS = 10


@pytest.mark.parametrize("when", Cut)
async def test_the_same_call_again_stores_nothing_twice(fresh_url: str, tmp_path: Path, when: Cut) -> None:
    row = await cut_commits(fresh_url, tmp_path, when, count=CUTS)
    assert (row.hit, row.acknowledged) == (CUTS, CUTS)
    assert (row.lost, row.doubled, row.torn) == (0, 0, 0)
    assert row.kept, row


async def blindly(database: Database, orders: Orders, conversation_id: UUID) -> Sequence[MessageRecord]:
    """The guard switched off: what is written has a new id in each attempt."""
    text = text_of(uuid4(), 0, 1)

    async def work(uow: UnitOfWork) -> Sequence[MessageRecord]:
        return [await uow.messages.append(conversation_id, id=new_id(), role="user", content=text)]

    return await UnitOfWork(database).run(work, idempotent=True)


async def test_without_an_id_made_before_the_work_it_is_doubled(fresh_url: str, tmp_path: Path) -> None:
    row = await cut_commits(fresh_url, tmp_path, Cut.AFTER, count=CUTS, write=blindly)
    assert row.hit == row.doubled == CUTS
    assert row.kept is False


@pytest.mark.parametrize("when", Cut)
async def test_what_is_not_said_to_be_idempotent_is_not_done_again(fresh_url: str, when: Cut) -> None:
    [conversation] = await new_conversations(fresh_url, 1)
    attempts = 0

    async def work(uow: UnitOfWork) -> None:
        nonlocal attempts
        attempts += 1
        await uow.messages.append(conversation, role="user", content="once")

    async with Proxy(fresh_url) as proxy, Database(proxy.url) as database:
        proxy.cut(when)
        with pytest.raises(CommitUnknownError):
            await UnitOfWork(database).run(work)
        assert (attempts, proxy.cuts) == (1, 1)
        async with UnitOfWork(database) as uow:
            assert await uow.messages.count(conversation) == (1 if when is Cut.AFTER else 0)
