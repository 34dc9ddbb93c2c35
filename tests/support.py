"""Databases for tests, made as copies of one that was migrated once; and the counting of statements."""

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from database import Database
from database.url import parse_url

LEAST_SERVER_VERSION = 180_000
LOCK_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
"""On PostgreSQL, how many connections of this database wait for a lock."""

NOT_COUNTED = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA)\b", re.IGNORECASE)


async def prepare_schema(url: str) -> None:
    """The schema as an installation gets it."""
    async with Database(url) as database:
        await database.migrate()


class Copies(Protocol):
    """Where the databases of one kind come from and go to."""

    async def empty(self) -> str:
        """The URL of a new database without a table."""
        ...

    async def migrated(self) -> str:
        """The URL of a new database at the newest revision."""
        ...

    async def drop(self, url: str) -> None:
        """Remove a database that was made here, whoever still uses it."""
        ...


@asynccontextmanager
async def migrated_copy(copies: Copies) -> AsyncIterator[Database]:
    """A new database at the newest revision, connected; removed at the end."""
    url = await copies.migrated()
    async with Database(url) as database:
        yield database
    await copies.drop(url)


class SqliteCopies:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template: Path | None = None

    async def empty(self) -> str:
        return f"sqlite:///{self._new_file()}"

    async def migrated(self) -> str:
        if self._template is None:
            template = self._new_file()
            await prepare_schema(f"sqlite:///{template}")
            # A log beside the file would hold rows that a copy of the file has not.
            assert not template.with_name(f"{template.name}-wal").exists()
            self._template = template
        copy = self._new_file()
        shutil.copyfile(self._template, copy)
        return f"sqlite:///{copy}"

    async def drop(self, url: str) -> None:
        file = Path(url.removeprefix("sqlite:///"))
        for path in file.parent.glob(f"{file.name}*"):
            path.unlink()

    def _new_file(self) -> Path:
        return self._folder / f"{uuid4().hex}.db"


class PostgresCopies:
    def __init__(self, server_url: str) -> None:
        self._server = parse_url(server_url)
        # One connection for all: each new one would ask the server who it is, several hundred times.
        self._engine = create_async_engine(
            self._server, isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=0, pool_pre_ping=True
        )
        self._template: str | None = None

    async def empty(self) -> str:
        return await self._create("template0")

    async def migrated(self) -> str:
        if self._template is None:
            url = await self.empty()
            await prepare_schema(url)
            self._template = parse_url(url).database
        return await self._create(f'"{self._template}"')

    async def drop(self, url: str) -> None:
        await self.run(f'DROP DATABASE "{parse_url(url).database}" WITH (FORCE)')

    async def close(self) -> None:
        if self._template is not None:
            await self.run(f'DROP DATABASE "{self._template}"')
        await self._engine.dispose()

    async def run(self, *statements: str) -> sa.CursorResult[Any]:
        """Statements at the server's own database, outside of transactions; the answer to the last one."""
        async with self._engine.connect() as connection:
            answers = [await connection.exec_driver_sql(statement) for statement in statements]
        return answers[-1]

    async def _create(self, template: str) -> str:
        name = f"test_{uuid4().hex}"
        await self.run(f'CREATE DATABASE "{name}" TEMPLATE {template} STRATEGY FILE_COPY')
        return self._server.set(database=name).render_as_string(hide_password=False)


class Statements(list[str]):
    """The text of each statement that reached a driver, in order; what only frames a transaction is left out."""


@contextmanager
def count_statements() -> Iterator[Statements]:
    """What every engine sends inside the block: `with count_statements() as seen: ...; assert len(seen) == 1`."""
    seen = Statements()

    def note(connection: sa.Connection, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        if not NOT_COUNTED.match(statement):
            seen.append(statement)

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)


on_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
"""For what only SQLite has."""

on_postgresql = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
"""For what only PostgreSQL has."""
