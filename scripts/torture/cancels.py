"""Units that are cancelled at any moment: while connecting, in BEGIN, in a statement, in COMMIT."""

import asyncio
import gc
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import event

from database import Database
from models import new_id
from repositories import UnitOfWork
from repositories.message_record import MessageRecord
from scripts.torture.journal import Journal, compare, text_of
from scripts.torture.report import Row, kind_of, row_of
from scripts.torture.writers import new_conversations

FAULT = "cancel a unit"

LONGEST_NEXT = 0.5
"""Seconds that the next write may take; judged by the command alone."""

NEW_POOL_AFTER = 10
"""Units; so that some are cancelled while they connect."""

IDLE = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"

_unit: ContextVar[UUID] = ContextVar("unit")


async def cancel_units(url: str, folder: Path, *, count: int) -> Row:
    """With the garbage collector off. Kept: nothing is checked out or idle in a transaction afterwards, the next write
    works, and a cancelled unit left nothing unless its COMMIT was sent: then it is there whole, or not at all."""
    [conversation] = await new_conversations(url, 1)
    journal, cancelled, slowest, checked_out, unsent = Journal(folder), 0, 0.0, 0, set[UUID]()
    typical = 0.02
    with _without_collector(), _commits_seen() as committing:
        for first in range(0, count, NEW_POOL_AFTER):
            async with Database(url) as database:
                for number in range(first, min(first + NEW_POOL_AFTER, count)):
                    unit, began = uuid4(), time.monotonic()
                    try:
                        with journal.call() as stored:
                            limit = random.uniform(0, 1.3 * typical)
                            stored += await _cut_short(number, limit, database, conversation, unit)
                        typical = 0.8 * typical + 0.2 * (time.monotonic() - began)
                    except (asyncio.CancelledError, TimeoutError):
                        cancelled += 1
                        if unit not in committing:
                            unsent.add(unit)
                    began = time.monotonic()
                    with journal.call() as stored:
                        stored += await _write(database, conversation, uuid4())
                    slowest = max(slowest, time.monotonic() - began)
                    checked_out += await _checked_out(database)
    journal.close()
    async with Database(url) as database:
        verdict = await compare(database, folder)
        texts = (await database.fetch_all("SELECT content FROM messages")).column("content")
        left = len(unsent & {UUID(str(text).split(" ")[0]) for text in texts})
        idle = 0 if kind_of(url) == "sqlite" else int(str(await database.fetch_value(IDLE)))
    problems = {"connections kept": checked_out, "idle in transaction": idle, "cancelled units stored": left}
    kept = not any(problems.values())
    note = ", ".join(f"{number} {what}" for what, number in problems.items() if number)
    row = row_of(FAULT, kind_of(url), verdict, rounds=count, hit=cancelled, kept=kept, note=note)
    return replace(row, outage=round(slowest, 2), limit=LONGEST_NEXT)


async def _write(database: Database, conversation_id: UUID, unit: UUID) -> list[MessageRecord]:
    async with UnitOfWork(database) as uow:
        return [
            await uow.messages.append(conversation_id, id=new_id(), role="user", content=text_of(unit, part, 2))
            for part in range(2)
        ]


async def _cut_short(
    number: int, seconds: float, database: Database, conversation_id: UUID, unit: UUID
) -> list[MessageRecord]:
    """In each of the ways in which an application does it."""
    _unit.set(unit)
    write = _write(database, conversation_id, unit)
    match number % 3:
        case 0:
            return await asyncio.wait_for(write, seconds)
        case 1:
            async with asyncio.timeout(seconds):
                return await write
    task = asyncio.create_task(write)
    asyncio.get_running_loop().call_later(seconds, task.cancel)
    return await task


async def _checked_out(database: Database) -> int:
    pool = (await database.health()).pool
    return 1 if pool is None else pool.checked_out


@contextmanager
def _without_collector() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _commits_seen() -> Iterator[set[UUID]]:
    """The units whose COMMIT was about to be sent."""
    seen: set[UUID] = set()

    def note(connection: sa.Connection) -> None:
        if unit := _unit.get(None):
            seen.add(unit)

    event.listen(sa.Engine, "commit", note)
    try:
        yield seen
    finally:
        event.remove(sa.Engine, "commit", note)
