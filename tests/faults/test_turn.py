"""A turn that is broken off anywhere is there whole or not at all, and the conversation goes on."""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from itertools import count
from types import coroutine
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from database import Database
from database.errors import StoreError
from repositories import MessageRepository, UnitOfWork
from tests.repositories.providers import refusal
from tests.support import NOT_COUNTED, on_postgresql

pytestmark = pytest.mark.faults

TURN: list[dict[str, object]] = [
    {"role": "user", "content": "What is the weather?"},
    {"role": "assistant", "content": "", "tool_calls": [{"id": "a"}, {"id": "b"}]},
    {"role": "tool", "content": "rain", "tool_call_id": "a"},
    {"role": "tool", "content": "wind", "tool_call_id": "b"},
    {"role": "assistant", "content": "Rain and wind."},
]
STATES: list[dict[str, object]] = [{"key": "mood", "value": "wet"}, {"key": "place", "value": "Oslo"}]
STATEMENTS = 3 + len(STATES)

Fault = Callable[[sa.Connection], None]


class BrokenOffError(Exception):
    """What happens in the middle of a turn."""


def fail(connection: sa.Connection) -> None:
    raise BrokenOffError


def cut(connection: sa.Connection) -> None:
    """The server is not there any more; the statement finds out by itself."""
    driver: Any = connection.connection.driver_connection
    driver.terminate()


@contextmanager
def fault(do: Fault, when: str, number: int) -> Iterator[list[str]]:
    """`do` it before or after a statement of the block, counted from 1. Gives the statements that were begun."""
    begun: list[str] = []

    def before(connection: sa.Connection, cursor: Any, statement: str, *rest: Any) -> None:
        if not NOT_COUNTED.match(statement):
            begun.append(statement)
            if when == "before" and len(begun) == number:
                do(connection)

    def after(connection: sa.Connection, cursor: Any, statement: str, *rest: Any) -> None:
        if not NOT_COUNTED.match(statement) and when == "after" and len(begun) == number:
            do(connection)

    event.listen(sa.Engine, "before_cursor_execute", before)
    event.listen(sa.Engine, "after_cursor_execute", after)
    try:
        yield begun
    finally:
        event.remove(sa.Engine, "before_cursor_execute", before)
        event.remove(sa.Engine, "after_cursor_execute", after)


async def new_talk(database: Database) -> UUID:
    """With a past: an open call, so that the next turn must not make it worse."""
    async with UnitOfWork(database) as uow:
        talk = await uow.conversations.create(title="x")
        await uow.messages.append_many(
            talk.id, [TURN[0], TURN[1] | {"tool_calls": [{"id": "old"}]}, {"role": "user", "content": "Are you there?"}]
        )
    return talk.id


async def say(database: Database, talk: UUID) -> None:
    async with UnitOfWork(database) as uow:
        await uow.messages.append_turn(talk, TURN, states=STATES)


async def was_kept(database: Database, talk: UUID) -> bool:
    """Whole or not at all, acceptable to a provider, and the conversation goes on."""
    async with UnitOfWork(database) as uow:
        records = await uow.messages.history(talk, last=1000)
        states = await uow.states.mapping(talk)
        row = await uow.conversations.get(talk)
        assert (len(records), len(states)) in {(3, 0), (3 + len(TURN), len(STATES))}
        assert [record.position for record in records] == [*range(1, row.last_position + 1)]
        assert row.message_count == len(records)
        valid = await uow.messages.history(talk, valid_only=True)
        assert refusal(valid) is None
        assert refusal(records) is not None, "the old call is open, or this shows nothing"
        await uow.messages.append_turn(talk, TURN, states=STATES)
        await uow.messages.close_interrupted(talk)
        assert refusal(await uow.messages.history(talk, valid_only=True)) is None
    health = await database.health()
    assert health.pool is not None
    assert health.pool.checked_out == 0
    return len(states) > 0


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_failure_at_any_statement_keeps_nothing(fresh_database: Database, when: str) -> None:
    for number in range(1, STATEMENTS + 1):
        talk = await new_talk(fresh_database)
        with fault(fail, when, number) as begun, pytest.raises(BrokenOffError):
            await say(fresh_database, talk)
        assert len(begun) == number
        assert not await was_kept(fresh_database, talk)
    talk = await new_talk(fresh_database)
    with fault(fail, when, STATEMENTS + 1) as begun:
        await say(fresh_database, talk)
    assert len(begun) == STATEMENTS, "each statement has had its fault"
    assert await was_kept(fresh_database, talk)


@on_postgresql
async def test_a_connection_lost_after_any_statement_keeps_nothing(fresh_database: Database) -> None:
    for number in range(1, STATEMENTS + 1):
        talk = await new_talk(fresh_database)
        with fault(cut, "after", number) as begun, pytest.raises(StoreError):
            await say(fresh_database, talk)
        assert len(begun) in (number, number + 1), "the next one, or COMMIT, found no server"
        assert not await was_kept(fresh_database, talk)


async def test_a_turn_cancelled_at_any_wait_is_whole_or_not_there(fresh_database: Database) -> None:
    await fresh_database.health()
    kept: list[bool] = []
    while True:
        talk = await new_talk(fresh_database)
        task = asyncio.create_task(cancelled_at(say(fresh_database, talk), len(kept) + 1))
        await asyncio.wait([task])
        kept.append(await was_kept(fresh_database, talk))
        if not task.cancelled():
            break
    assert kept[-1], "it was not cancelled any more"
    assert kept.count(False) >= STATEMENTS


async def cancelled_at(work: Coroutine[Any, Any, None], wait: int) -> None:
    """Do the work in this task, and cancel the task as it begins to wait for the n-th time."""
    await _counting(work, wait)


@coroutine
def _counting(work: Coroutine[Any, Any, None], wait: int) -> Generator[Any, Any, None]:
    task = asyncio.current_task()
    assert task is not None
    step: Callable[[Any], Any] = work.send
    outcome: Any = None
    for waits in count(1):
        try:
            future = step(outcome)
        except StopIteration:
            return
        if waits == wait:
            task.cancel()
        try:
            step, outcome = work.send, (yield future)
        except BaseException as error:
            step, outcome = work.throw, error


async def test_without_a_turn_the_same_failure_leaves_half(fresh_database: Database, backend: str) -> None:
    talk = await new_talk(fresh_database)

    async def say_one_by_one() -> None:
        for message in TURN:
            async with UnitOfWork(fresh_database) as uow:
                await uow.messages.append(talk, **message)  # type: ignore[arg-type]  # typed by key

    with fault(fail, "before", 3 if backend == "postgresql" else 5), pytest.raises(BrokenOffError):
        await say_one_by_one()
    async with fresh_database.session() as session:
        messages = MessageRepository(session)
        half = await messages.history(talk, after=3)
        assert [record.role for record in half] == ["user", "assistant"]
        assert refusal(half) is not None
        assert refusal(await messages.history(talk, valid_only=True)) is None
