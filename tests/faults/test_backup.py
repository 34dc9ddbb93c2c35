"""A backup while others write holds all that was acknowledged before it began, and agrees with itself."""

import asyncio
import random
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from database import Database
from database.errors import StoreError
from repositories import UnitOfWork
from scripts.backup import backup
from scripts.backups import read, sqlite
from scripts.restore import restore
from tests.damage import fill
from tests.support import Copies, on_sqlite

pytestmark = pytest.mark.faults

WRITERS = 4
ROUNDS = 2


async def write(database: Database, talk: UUID, acknowledged: set[UUID]) -> None:
    for number in count():
        async with UnitOfWork(database) as uow:
            message = await uow.messages.append(talk, role="user", content=f"number {number}", input_tokens=1)
        acknowledged.add(message.id)


async def test_a_backup_under_writers_restores_exactly(
    fresh_database: Database, fresh_url: str, copies: Copies, tmp_path: Path
) -> None:
    async with UnitOfWork(fresh_database) as uow:
        talks = [(await uow.conversations.create(title="talk")).id for _ in range(WRITERS)]
    acknowledged: set[UUID] = set()
    writers = [asyncio.create_task(write(fresh_database, talk, acknowledged)) for talk in talks]
    try:
        for number in range(ROUNDS):
            while len(acknowledged) < 50 * (number + 1):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            before = set(acknowledged)
            manifest = await backup(Database(fresh_url), tmp_path / f"{number}.backup")
            assert not any(writer.done() for writer in writers)
            url = await copies.empty()
            restored = await restore(Database(url), tmp_path / f"{number}.backup")

            assert restored.faults == []
            async with Database(url) as database:
                rows = await database.fetch_all("SELECT id, position FROM messages", columns={"id": UUID})
                gaps = await database.fetch_value(
                    "SELECT count(*) FROM conversations WHERE last_position <> message_count"
                )
            await copies.drop(url)
            assert before <= {row["id"] for row in rows}
            assert len(rows) == manifest.tables["messages"].rows
            assert gaps == 0
    finally:
        for writer in writers:
            writer.cancel()
        ended = await asyncio.gather(*writers, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)


@on_sqlite
async def test_a_write_at_every_step_does_not_begin_it_anew(
    fresh_database: Database, fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a moment of its own the copy would never end: each write of another begins it again."""
    monkeypatch.setattr(sqlite, "PAGES", 10)
    await fill(fresh_database)
    steps = 0
    with closing(sqlite3.connect(fresh_url.removeprefix("sqlite:///"), check_same_thread=False)) as other:

        def write_at_every_step(done: float) -> None:
            nonlocal steps
            steps += 1
            assert steps < 100
            with other:
                other.execute("UPDATE personas SET description = 'changed'")

        sums = await sqlite.dump(Database(fresh_url), tmp_path / "data", write_at_every_step)

    assert steps > 3
    assert sums["personas"].rows == 1
    with closing(sqlite3.connect(tmp_path / "data")) as copy:
        assert copy.execute("SELECT description FROM personas").fetchall() == [(None,)]


async def test_no_damaged_backup_is_taken_for_whole(fresh_database: Database, fresh_url: str, tmp_path: Path) -> None:
    """200 flipped bits and 50 lengths: all refused."""
    await fill(fresh_database)
    file = tmp_path / "x.backup"
    await backup(Database(fresh_url), file)
    content = file.read_bytes()
    chance = random.Random(1)

    for number in range(250):
        if number < 200:
            place = chance.randrange(len(content))
            broken = content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]
        else:
            broken = content[: chance.randrange(len(content))]
        file.write_bytes(broken)
        with pytest.raises(StoreError), read(file):
            pass
