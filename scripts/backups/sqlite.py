"""A SQLite file copied by the online backup, and put back by a rename."""

import asyncio
import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

from database import Database
from database.errors import ConfigurationError, LockTimeoutError
from database.url import is_memory
from scripts.backups.archive import CHUNK, Manifest, TableSum, beside, put
from scripts.backups.verify import compare, faults_of, holds_data

PAGES = 1_000
"""Copied at once, between two looks at the progress."""

TABLES = """
SELECT name FROM sqlite_master AS t
WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL TABLE%'
    AND NOT EXISTS (
        SELECT 1 FROM sqlite_master AS v
        WHERE v.sql LIKE 'CREATE VIRTUAL TABLE%' AND substr(t.name, 1, length(v.name) + 1) = v.name || '_'
    )
ORDER BY name
"""
"""Without what an index of words keeps for itself."""

SIDES = ("-wal", "-shm", "-journal")


def file_of(database: Database) -> Path:
    name = database.url.database
    if is_memory(database.url) or name is None:
        raise ConfigurationError("a database in memory ends with its process: there is nothing to back up or restore")
    if name.startswith("file:"):
        raise ConfigurationError("name the database file by its path, not as a file: address")
    return Path(name)


async def dump(database: Database, data: Path, progress: Callable[[float], None]) -> Mapping[str, TableSum]:
    source = file_of(database)
    if not source.exists():
        raise ConfigurationError("there is no database file of this name")
    return await asyncio.to_thread(_dump, source, data, progress)


def _dump(source: Path, data: Path, progress: Callable[[float], None]) -> Mapping[str, TableSum]:
    with closing(sqlite3.connect(source, isolation_level=None)) as live, closing(sqlite3.connect(data)) as copy:
        # A transaction that reads holds its moment: without it each write of another would begin the copy anew.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(copy, pages=PAGES, progress=lambda _, left, total: progress(1 - left / max(total, 1)), sleep=0)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, whole without a log beside it
    return _sums(data)


def _sums(file: Path) -> dict[str, TableSum]:
    with closing(sqlite3.connect(file)) as connection:
        return {name: _sum(connection, name) for (name,) in connection.execute(TABLES).fetchall()}


def _sum(connection: sqlite3.Connection, table: str) -> TableSum:
    rows, found = 0, hashlib.sha256()
    columns = [f'quote("{row[1]}")' for row in connection.execute(f'PRAGMA table_info("{table}")')]
    key = [f'"{row[1]}"' for row in connection.execute(f'PRAGMA table_info("{table}")') if row[5]] or ["rowid"]
    for row in connection.execute(f'SELECT {", ".join(columns)} FROM "{table}" ORDER BY {", ".join(key)}'):
        rows += 1
        found.update("\x1f".join(row).encode())
        found.update(b"\x1e")
    return TableSum(rows=rows, checksum=found.hexdigest())


async def is_empty(database: Database) -> bool:
    file = file_of(database)
    return not file.exists() or await asyncio.to_thread(_is_empty, file)


def _is_empty(file: Path) -> bool:
    """A file that cannot be read is not empty: somebody may want it."""
    try:
        with closing(sqlite3.connect(file)) as connection:
            names = [name for (name,) in connection.execute(TABLES) if holds_data(name)]
            return not any(connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone() for name in names)
    except sqlite3.DatabaseError:
        return False


async def load(database: Database, manifest: Manifest, data: IO[bytes]) -> Sequence[str]:
    target = file_of(database)
    with beside(target) as new:
        await asyncio.to_thread(_check, new, data, manifest)
        async with Database(f"sqlite:///{new.absolute()}") as restored:
            faults = await faults_of(restored)
        await asyncio.to_thread(_replace, new, target)
    return faults


def _check(new: Path, data: IO[bytes], manifest: Manifest) -> None:
    with new.open("wb") as file:
        shutil.copyfileobj(data, file, CHUNK)
    compare(manifest.tables, _sums(new))


def _replace(new: Path, target: Path) -> None:
    """The old file is closed by everybody first: its log, left beside the new one, would be taken for that one's."""
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    if target.exists():
        shutil.copymode(target, new)
        try:
            with closing(sqlite3.connect(target, timeout=2, isolation_level=None)) as old:
                old.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as error:
            raise LockTimeoutError(error.sqlite_errorname) from error
        except sqlite3.DatabaseError:
            pass  # damaged: that is why somebody restores
    else:
        new.chmod(0o644)
    for side in SIDES:
        with suppress(FileNotFoundError):
            Path(f"{target}{side}").unlink()
    put(new, target)
