"""A PostgreSQL whose postmaster is our own child: it can be killed, waited for, and started again on the same data.

A killed postmaster that nobody waits for would keep its lock file "alive".
"""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from database import Database
from scripts.postgres import PATIENCE_SECONDS, EmbeddedPostgres, PostgresUnavailableError, environment, short_folder
from scripts.torture.sessions import busy_backend

# What an installation has: a commit is acknowledged when it is safe.
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "max_wal_size": "512MB"}

# $1: the folder to remove at the end. Standard input: our pipe, which closes however this process ended.
WATCHER = """
tree=$1
read -r _
server=$(head -n 1 "$tree/data/postmaster.pid" 2>/dev/null) && kill -INT "$server" 2>/dev/null &&
  while kill -0 "$server" 2>/dev/null; do sleep 0.1; done
cd / && rm -rf "$tree"
"""


class Server(EmbeddedPostgres):
    """`with Server() as server:`; `crash()` and `restart()` come back when it takes connections again."""

    def __init__(self) -> None:
        super().__init__(options=DURABLE)
        self._home = Path()
        self._postmaster: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._tree = short_folder()
        try:
            self._home = self._installation()
            self._data = self._cluster(self._home)
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", WATCHER, "watcher", str(self._tree)],
                stdin=subprocess.PIPE,
                cwd="/",
                start_new_session=True,
                user=self._user,
                group=self._group,
                extra_groups=self._groups,
            )
            self._launch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._postmaster is not None:
            self._end(signal.SIGINT)
        super().stop()
        shutil.rmtree(self._tree, ignore_errors=True)

    async def restart(self) -> bool:
        """A fast restart, as an administrator does it; sessions are ended."""
        await asyncio.to_thread(self._end, signal.SIGINT)
        await asyncio.to_thread(self._launch)
        return True

    async def crash(self) -> bool:
        """kill -9 of the postmaster."""
        await asyncio.to_thread(self._end, signal.SIGKILL)
        await asyncio.to_thread(self._launch)
        return True

    async def kill_backend(self, database_url: str) -> bool:
        """kill -9 of one that is at work: the server ends all others, and recovers. False: none was."""
        pid = await busy_backend(database_url)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    async def new_database(self, template: str = "template0", tablespace: str = "pg_default") -> str:
        """The URL of a new one."""
        name = f"torture_{uuid4().hex}"
        async with Database(self.url()) as database:
            await _by_itself(database, f'CREATE DATABASE "{name}" TEMPLATE "{template}" TABLESPACE "{tablespace}"')
        return self.url(name)

    def new_folder(self, name: str) -> Path:
        """One that the server's account may write in; gone with the server."""
        folder = self._tree / name
        folder.mkdir()
        self._own(folder)
        return folder

    @asynccontextmanager
    async def tablespace(self, name: str, folder: Path) -> AsyncIterator[None]:
        """Databases may be made in this folder, until the block ends."""
        self._own(folder)
        async with Database(self.url()) as database:
            await _by_itself(database, f"CREATE TABLESPACE {name} LOCATION '{folder}'")
            try:
                yield
            finally:
                for row in await database.fetch_all(IN_TABLESPACE, {"name": name}):
                    await _by_itself(database, f'DROP DATABASE "{row["datname"]}" WITH (FORCE)')
                await _by_itself(database, f"DROP TABLESPACE {name}")

    def spawn(self, *command: str) -> "subprocess.Popen[bytes]":
        """A program of the server's account; what it says goes to the server's log."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment(),
                start_new_session=True,
                user=self._user,
                group=self._group,
                extra_groups=self._groups,
            )

    def _end(self, number: signal.Signals) -> None:
        assert self._postmaster is not None
        self._postmaster.send_signal(number)
        self._postmaster.wait(PATIENCE_SECONDS)
        self._postmaster = None

    def _launch(self) -> None:
        """Again and again: after a crash the last children of the old server hold its memory for a moment."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._launched():
            if time.monotonic() > deadline:
                raise PostgresUnavailableError(f"PostgreSQL did not start: {self._words()}")
            time.sleep(0.1)

    def _launched(self) -> bool:
        options = [f"--{name}={value}" for name, value in self._options.items()]
        self._postmaster = self.spawn(
            f"{self._home}/bin/postgres", "-D", str(self._data), "-k", str(self._tree), *options
        )
        while self._postmaster.poll() is None:
            if self._is_ready() and self._names(self._postmaster.pid):
                return True
            time.sleep(0.02)
        return False

    def _names(self, pid: int) -> bool:
        """Whether the server's note is by this one, not by the one before it."""
        return (self._data / "postmaster.pid").read_text().split("\n", 1)[0] == str(pid)

    @property
    def _log(self) -> Path:
        return self._tree / "log"

    def _words(self) -> str:
        return self._log.read_text(errors="replace").strip()[-2000:]


IN_TABLESPACE = (
    "SELECT datname FROM pg_database AS d JOIN pg_tablespace AS t ON t.oid = dattablespace WHERE spcname = :name"
)


async def _by_itself(database: Database, statement: str) -> None:
    """What no transaction takes."""
    async with database.autocommit() as connection:
        await connection.exec_driver_sql(statement)
