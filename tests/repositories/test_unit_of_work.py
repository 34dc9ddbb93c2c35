"""The unit of work: one transaction, every repository, raw SQL beside them."""

import asyncio
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from database import Database
from database.errors import DuplicateError, NotConnectedError, ReadOnlyError, TransactionError
from models import Conversation
from repositories import UnitOfWork


async def test_it_commits_at_its_end(emptied: Database) -> None:
    done: list[str] = []
    async with UnitOfWork(emptied, owner_id="ada") as uow:
        talk = await uow.conversations.create(title="Ada's chat")
        await uow.messages.append(talk.id, role="user", content="I live in Oslo.")
        uow.on_commit(lambda: done.append("committed"))
        assert done == []
    assert done == ["committed"]
    async with UnitOfWork(emptied, owner_id="ada") as uow:
        assert (await uow.conversations.get(talk.id)).message_count == 1


async def test_an_exception_keeps_nothing(emptied: Database) -> None:
    done: list[str] = []

    async def fail() -> None:
        async with UnitOfWork(emptied) as uow:
            await uow.conversations.create(title="x")
            uow.on_commit(lambda: done.append("committed"))
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await fail()
    assert await emptied.fetch_value("SELECT count(*) FROM conversations") == 0
    assert done == []


async def test_expected_conflicts_are_caught_around_nested(emptied: Database) -> None:
    async with UnitOfWork(emptied) as uow:
        talk = await uow.conversations.create(title="kept")
        with pytest.raises(DuplicateError):
            async with uow.nested():
                await uow.conversations.create(title="again", id=talk.id)
        await uow.conversations.rename(talk.id, "renamed")
    assert await emptied.fetch_value("SELECT title FROM conversations") == "renamed"


async def test_a_swallowed_failure_is_not_taken_for_success(emptied: Database) -> None:
    async def swallow() -> None:
        async with UnitOfWork(emptied) as uow:
            talk = await uow.conversations.create(title="lost")
            with pytest.raises(DuplicateError):
                await uow.conversations.create(title="again", id=talk.id)

    with pytest.raises(TransactionError):
        await swallow()
    assert await emptied.fetch_value("SELECT count(*) FROM conversations") == 0


async def test_raw_sql_runs_in_the_same_transaction(emptied: Database) -> None:
    async with UnitOfWork(emptied) as uow:
        talk = await uow.conversations.create(title="x")
        talk.title = "changed in the session"
        row = await uow.fetch_one(
            "SELECT id, title FROM conversations WHERE id = :id", {"id": talk.id}, columns={"id": UUID}
        )
        assert row == {"id": talk.id, "title": "changed in the session"}
        outcome = await uow.execute("UPDATE conversations SET title = :title", {"title": "raw"})
        assert outcome.row_count == 1
        assert (await uow.conversations.get(talk.id)).title == "raw"
        rows = [{"id": talk.id, "title": title} for title in ("a", "b")]
        await uow.execute_many("UPDATE conversations SET title = :title WHERE id = :id", rows)
        assert [found["title"] async for found in uow.stream("SELECT title FROM conversations")] == ["b"]
        assert await uow.table_exists("conversations")
        assert not await uow.table_exists("nonsense")


async def test_outside_of_its_block_it_is_nothing(database: Database) -> None:
    uow = UnitOfWork(database)
    with pytest.raises(NotConnectedError):
        await uow.fetch_value("SELECT 1")


async def test_the_plain_form_carries_the_owner(emptied: Database) -> None:
    async with emptied.transaction(owner_id="ada") as session:
        session.add(Conversation(title="by hand", owner_id="ada"))
    async with emptied.session(owner_id="bob") as session:
        assert session.owner_id == "bob"


async def test_one_that_only_reads_writes_nothing_and_waits_for_no_writer(emptied: Database) -> None:
    async with UnitOfWork(emptied) as uow:
        talk = await uow.conversations.create(title="x")
    async with UnitOfWork(emptied, read_only=True) as uow:
        assert await uow.messages.history(talk.id) == []
        async with asyncio.timeout(5):
            await asyncio.create_task(said(emptied, talk.id))
        assert len(await uow.messages.history(talk.id)) == 1
        with pytest.raises(ReadOnlyError):
            await uow.messages.append(talk.id, role="user", content="x")
    async with UnitOfWork(emptied, read_only=True) as uow:
        await uow.conversations.get(talk.id)
        with pytest.raises(ReadOnlyError):
            await uow.states.set(talk.id, "city", "Oslo")


async def said(database: Database, conversation_id: UUID) -> None:
    async with UnitOfWork(database) as uow:
        await uow.messages.append(conversation_id, role="user", content="I live in Oslo.")


async def test_what_is_sent_straight_is_kept_beside_a_connection_that_nothing_used(emptied: Database) -> None:
    async with UnitOfWork(emptied) as uow:
        talk = await uow.conversations.create(title="x")
    async with UnitOfWork(emptied) as uow:
        await uow.session.core()
        await uow.messages.append(talk.id, role="user", content="before it")
    async with UnitOfWork(emptied) as uow:
        await uow.messages.append(talk.id, role="user", content="after it")
        await uow.memories.create_many([])
        await uow.session.core()
    async with UnitOfWork(emptied) as uow:
        assert [said.content for said in await uow.messages.history(talk.id)] == ["before it", "after it"]


async def test_who_listens_to_commits_hears_each(emptied: Database) -> None:
    heard: list[sa.Connection] = []
    async with UnitOfWork(emptied) as uow:
        talk = await uow.conversations.create(title="x")
    hear = heard.append
    event.listen(sa.Engine, "commit", hear)
    try:
        await said(emptied, talk.id)
        async with UnitOfWork(emptied) as uow:
            await uow.session.core()
            await uow.messages.append(talk.id, role="user", content="x")
    finally:
        event.remove(sa.Engine, "commit", hear)
    assert len(heard) == 2
    async with UnitOfWork(emptied) as uow:
        assert len(await uow.messages.history(talk.id)) == 2
