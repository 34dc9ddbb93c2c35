"""Where the torture takes place: new migrated databases, copies of one that was migrated once."""

import shutil
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from database import Database
from database.url import parse_url
from scripts.torture.server import Server


class Place(Protocol):
    async def prepare(self) -> None: ...

    async def new(self) -> str:
        """The URL of a migrated database without a row."""
        ...


class SqlitePlace:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = folder / "template.db"

    async def prepare(self) -> None:
        async with Database(f"sqlite:///{self._template}") as database:
            await database.migrate()

    async def new(self) -> str:
        return self.copy_to(self._folder / f"{uuid4().hex}.db")

    def copy_to(self, file: Path) -> str:
        shutil.copyfile(self._template, file)
        return f"sqlite:///{file}"


class PostgresPlace:
    def __init__(self, server: Server) -> None:
        self.server = server
        self._template = ""

    async def prepare(self) -> None:
        url = await self.server.new_database()
        async with Database(url) as database:
            await database.migrate()
        self._template = str(parse_url(url).database)

    async def new(self, tablespace: str = "pg_default") -> str:
        return await self.server.new_database(self._template, tablespace)
