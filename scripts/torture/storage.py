"""Storage that fills up while messages are written: a small file system where one may be mounted, else a small file."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from database import Database
from database.errors import StorageFullError
from models import new_id
from repositories import UnitOfWork
from scripts.torture.journal import Journal, compare, text_of
from scripts.torture.kills import is_whole
from scripts.torture.report import Row, kind_of, row_of
from scripts.torture.writers import new_conversations

FAULT = "full storage"
FREED = 300_000
"""Bytes that something else has taken, and gives back."""

MOST = 100_000
"""Messages; none of the storages here takes as many."""


@contextmanager
def small_file_system(folder: Path, size: int) -> Iterator[bool]:
    """`folder` with room for so many bytes; False: nobody lets us mount one."""
    mount = shutil.which("mount")
    made = mount is not None and _ran(mount, "-t", "tmpfs", "-o", f"size={size}", "none", str(folder))
    try:
        yield made
    finally:
        if made:
            _ran("umount", "--lazy", str(folder))


async def fill(url: str, folder: Path, room: Path | None, *, times: int) -> Row:
    """So many times: write until nothing goes in, see that a failing write says so, give room back, and write again.

    `room` is the folder that fills up, where something else takes place too; None: SQLite's own limit for a file.
    """
    [conversation] = await new_conversations(url, 1)
    journal, full, went_on = Journal(folder), 0, 0
    async with Database(url) as database:
        await _take(database, room, times)
        for number in range(times):
            full += await _write_until_full(database, journal, conversation)
            full += await _write_until_full(database, journal, conversation)
            await _give_back(database, room, number)
            went_on += await _writes(database, journal, conversation)
    journal.close()
    async with Database(url) as database:
        verdict = await compare(database, folder)
        whole = await is_whole(database)
    kept = whole and full == 2 * times and went_on == times
    note = "" if kept else f"StorageFullError {full} times of {2 * times}, went on {went_on} of {times}"
    where = "a small file system" if room else "max_page_count"
    note = ", ".join(filter(None, [where, note]))
    return row_of(FAULT, kind_of(url), verdict, rounds=times, hit=full, kept=kept, note=note)


async def _write_until_full(database: Database, journal: Journal, conversation_id: UUID) -> bool:
    for _ in range(MOST):
        try:
            await _write(database, journal, conversation_id)
        except StorageFullError:
            return True
    return False


async def _writes(database: Database, journal: Journal, conversation_id: UUID) -> bool:
    try:
        for _ in range(5):
            await _write(database, journal, conversation_id)
    except StorageFullError:
        return False
    return True


async def _write(database: Database, journal: Journal, conversation_id: UUID) -> None:
    unit = uuid4()
    with journal.call() as stored:
        async with UnitOfWork(database) as uow:
            for part in range(2):
                text = text_of(unit, part, 2)
                stored.append(await uow.messages.append(conversation_id, id=new_id(), role="user", content=text))


async def _take(database: Database, room: Path | None, times: int) -> None:
    if room is None:
        await _limit(database, 100)
    for number in range(times if room else 0):
        _other(room, number).write_bytes(bytes(FREED))


async def _give_back(database: Database, room: Path | None, number: int) -> None:
    if room is None:
        await _limit(database, 100)
    else:
        _other(room, number).unlink()


def _other(room: Path | None, number: int) -> Path:
    assert room is not None
    return room / f"other-{number}"


async def _limit(database: Database, more: int) -> None:
    """Of the one connection that writes: so many pages more than there are."""
    async with database.autocommit() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + more}")


def _ran(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0
