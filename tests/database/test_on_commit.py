"""Work that waits for the commit: each hook once, in order, never for a unit that was rolled back."""

import asyncio
import logging

import pytest

from database import Database
from database.errors import MissingReferenceError, TransactionError
from tests.factories import ConversationFactory, MessageFactory


async def test_hooks_run_once_in_order_after_the_commit(emptied: Database) -> None:
    ran: list[str] = []

    async def slow(name: str) -> None:
        await asyncio.sleep(0)
        ran.append(name)

    async with emptied.transaction() as session:
        session.on_commit(lambda: ran.append("first"))
        session.on_commit(lambda: slow("second"))
        await ConversationFactory.create(session)
        session.on_commit(lambda: ran.append("third"))
        assert ran == []
    assert ran == ["first", "second", "third"]
    async with emptied.transaction():
        pass
    assert ran == ["first", "second", "third"]


async def test_a_hook_sees_what_was_committed_and_may_write(emptied: Database) -> None:
    async def follow_up() -> None:
        assert await emptied.fetch_value("SELECT count(*) FROM conversations") == 1
        async with emptied.transaction() as session:
            session.on_commit(lambda: ran.append("of the hook"))
            await ConversationFactory.create(session)

    ran: list[str] = []
    async with emptied.transaction() as session:
        await ConversationFactory.create(session)
        session.on_commit(follow_up)
    assert ran == ["of the hook"]
    assert await emptied.fetch_value("SELECT count(*) FROM conversations") == 2


async def test_no_hook_runs_after_a_rollback(emptied: Database) -> None:
    ran: list[str] = []

    async def unit() -> None:
        async with emptied.transaction() as session:
            session.on_commit(lambda: ran.append("never"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await unit()
    task = asyncio.create_task(unit())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran == []


async def test_no_hook_runs_when_the_last_flush_fails(emptied: Database) -> None:
    ran: list[str] = []

    async def unit(swallow: bool) -> None:
        async with emptied.transaction() as session:
            session.on_commit(lambda: ran.append("never"))
            session.add(MessageFactory.build())
            if swallow:
                with pytest.raises(MissingReferenceError):
                    await session.flush()

    with pytest.raises(MissingReferenceError):
        await unit(swallow=False)
    with pytest.raises(TransactionError):
        await unit(swallow=True)
    assert ran == []


async def test_a_failing_hook_stops_nothing_and_is_logged_without_its_text(
    emptied: Database, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    def failing() -> None:
        raise ValueError("hush-hush")

    async def failing_later() -> None:
        raise KeyError("hush-hush")

    with caplog.at_level(logging.DEBUG):
        async with emptied.transaction() as session:
            await ConversationFactory.create(session)
            session.on_commit(failing)
            session.on_commit(failing_later)
            session.on_commit(lambda: ran.append("last"))
    assert ran == ["last"]
    assert await emptied.fetch_value("SELECT count(*) FROM conversations") == 1
    logged = [record.getMessage() for record in caplog.records if record.name == "database.session"]
    assert logged == ["on_commit_hook_failed error=ValueError", "on_commit_hook_failed error=KeyError"]
    assert "hush-hush" not in caplog.text


async def test_hooks_run_in_a_sandbox_too(database: Database) -> None:
    ran: list[str] = []
    async with database.sandbox():
        async with database.transaction() as session:
            session.on_commit(lambda: ran.append("inner"))
        assert ran == ["inner"]
