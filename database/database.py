"""The database as an application holds it: it owns the engines, and every transaction begins and ends here."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from database import migrations
from database.alone import Alone
from database.ending import end_of, keeping, to_its_end
from database.engine import Engines, create_engines
from database.errors import (
    InvalidInputError,
    NotConnectedError,
    StoreError,
    TransactionError,
    WrongLoopError,
)
from database.health import Health, pool_of, revision_of, version_of
from database.prepared import Prepared, Statement
from database.raw import RawSql
from database.retry import DEADLINE, RETRIES, again
from database.session import Session
from database.settings import Settings, load_settings
from database.translation import translate
from database.unit import Unit
from database.url import parse_url
from models.values import check_text

logger = logging.getLogger(__name__)
logger.addHandler(logging.NullHandler())

T = TypeVar("T")


class Database(RawSql):
    """One database of an application.

    `source` is a URL in any form that people paste, or Settings; None reads Settings from the environment and `.env`.
    Use it as an async context manager, or call `connect()` and `close()`. Nothing is opened before the first use, so
    that an application starts while its database is down. It belongs to the event loop that connected it.
    """

    def __init__(self, source: str | sa.URL | Settings | None = None) -> None:
        if isinstance(source, Settings):
            self.settings = source
        elif source is None:
            self.settings = load_settings()
        else:
            address = source if isinstance(source, str) else source.render_as_string(hide_password=False)
            self.settings = load_settings().model_copy(update={"database_url": SecretStr(address)})
        self.url = parse_url(self.settings.database_url.get_secret_value())
        self._engines: Engines | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._holding: set[asyncio.Task[object] | None] = set()
        self._sandbox: AsyncConnection | None = None
        self._prepared: dict[Statement, Prepared] = {}
        self._remembered: set[str] = set()

    def __repr__(self) -> str:
        return f"Database({self.url!r})"

    @property
    def is_connected(self) -> bool:
        return self._engines is not None

    async def connect(self) -> None:
        """Make the engines; connections are opened as they are needed."""
        if self._engines is None:
            replica = self.settings.database_read_url
            read_url = None if replica is None else parse_url(replica.get_secret_value())
            self._engines = create_engines(self.url, read_url, self.settings)
            self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Close every connection; the database can be connected again afterwards.

        A unit that runs meanwhile goes on to its end, and its connection is closed after it.
        """
        if self._engines is not None:
            engines, self._engines = self._engines, None
            self._remembered.clear()
            await engines.dispose()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def migrate(self, revision: str = "head", *, config: Path | None = None) -> None:
        """Bring the schema to `revision`. `config` names an application's alembic.ini, if its migrations run too."""
        engines = self._ready()
        self._remembered.clear()
        if engines.one_connection:
            # What is in memory is gone with its connection.
            async with engines.writer.connect() as only:
                await migrations.upgrade(self.url, revision, config=config, settings=self.settings, connection=only)
            return
        # An idle connection would keep the file's lock, and prepared statements of the old schema would fail.
        await engines.dispose()
        await migrations.upgrade(self.url, revision, config=config, settings=self.settings)

    @asynccontextmanager
    async def transaction(self, *, owner_id: str | None = None) -> AsyncIterator[Session]:
        """A unit that writes: commit on a clean exit, rollback on any exception and on cancellation.

        It begins with its first statement. On SQLite it waits in line for the one writing connection, and holds the
        write lock from that statement on. A task that holds a unit there and opens another gets TransactionError at
        once. Raises CommitUnknownError where the connection broke while COMMIT was on its way.
        """
        engines = self._ready()
        holder = self._hold(engines.one_writer)
        try:
            session = await self._take(engines.writer, owner_id, reads=False)
            try:
                yield session
                await session.flush_pending()
                if session.unit.is_broken:
                    raise TransactionError("a statement of this unit has failed; nothing of it was kept")
            except BaseException:
                await end_of(session, session.end(keep=False))
                raise
            with keeping():
                await to_its_end(session.end(keep=True))
        finally:
            self._holding.discard(holder)
        await session.run_hooks()

    async def run(
        self,
        work: Callable[[Session], Awaitable[T]],
        *,
        owner_id: str | None = None,
        retries: int = RETRIES,
        deadline: float | None = DEADLINE,
        idempotent: bool = False,
    ) -> T:
        """Do `work` in a transaction and return what it returns; do it again, whole, where that can help.

        That is after a collision with another transaction, a lock that was not released, a server that was not reached
        or a connection that broke before COMMIT; with growing, jittered waits, at most `retries` times, and not begun
        again after `deadline` seconds. Where the connection broke during COMMIT only `idempotent` work is done again:
        work that done twice leaves what it leaves once, as `append` and `save` do with ids made outside of it. Else
        that raises CommitUnknownError, and so does a last attempt that fails for the database's sake after it. Hooks
        run once, after the commit. What `work` does besides is its own to undo.
        """

        async def unit() -> T:
            async with self.transaction(owner_id=owner_id) as session:
                return await work(session)

        return await again(unit, retries, deadline, idempotent=idempotent)

    def alone(self) -> Alone:
        """For statements that are units by themselves: what each writes is kept, in one round trip.

        They need no BEGIN and no COMMIT of their own. Raises CommitUnknownError where the connection broke meanwhile.
        """

        async def take() -> Unit:
            if self.is_held():
                raise TransactionError("this task holds the one connection that writes")
            unit = self._unit(self._ready().writer, reads=False)
            await unit.take(self._sandbox)
            return unit

        return Alone(take)

    @asynccontextmanager
    async def session(self, *, owner_id: str | None = None) -> AsyncIterator[Session]:
        """A unit that only reads: a write in it raises ReadOnlyError. It blocks no writer and waits for none."""
        engines = self._ready()
        holder = self._hold(engines.one_connection)
        try:
            session = await self._take(engines.reader, owner_id, reads=True)
            try:
                yield session
            finally:
                await end_of(session, session.end(keep=False))
        finally:
            self._holding.discard(holder)

    @asynccontextmanager
    async def sandbox(self) -> AsyncIterator[Session]:
        """For tests: whatever is done inside, in units of their own too, is one transaction, undone at the end.

        Commits inside are savepoints, their hooks run. One task at a time; no concurrency.
        """
        engines = self._ready()
        async with engines.writer.connect() as connection:
            outer = await connection.begin()
            self._sandbox = connection
            try:
                async with self.transaction() as session:
                    yield session
            finally:
                self._sandbox = None
                await to_its_end(outer.close())

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        """A connection outside of any transaction, for upkeep that refuses one: CREATE INDEX CONCURRENTLY, VACUUM."""
        if self.is_held():
            raise TransactionError("this task holds the one connection that writes")
        async with self._ready().autocommit.connect() as connection:
            yield connection

    def is_held(self) -> bool:
        """Whether this task holds the one connection that writes: to wait in it for another task's write has no end."""
        return self._ready().one_writer and asyncio.current_task() in self._holding

    async def health(self) -> Health:
        """Whether the database answers, and what it is. Never raises."""
        name, host, port = self.url.database, self.url.host, self.url.port
        try:
            engines = self._ready()
            async with engines.reader.connect() as connection:
                version, revision = version_of(connection), await revision_of(connection)
            pool = pool_of(engines.writer)
            return Health("ok", "the database answers", name, version, host, port, revision, pool)
        except Exception as error:
            ours = translate(error)
            message = str(ours) if isinstance(ours, StoreError) else type(error).__name__
            return Health("error", message, name, host=host, port=port)

    def _ready(self) -> Engines:
        if self._engines is None:
            raise NotConnectedError("the database is not connected; use `async with Database(...)` or connect()")
        if self._loop is not asyncio.get_running_loop():
            raise WrongLoopError("the database was connected in another event loop; make one for each loop")
        return self._engines

    def _hold(self, one: bool) -> asyncio.Task[object] | None:
        """Where there is `one` connection, a task that asks for it again would wait for itself."""
        if not one or self._sandbox is not None:
            return None
        task = asyncio.current_task()
        if task in self._holding:
            raise TransactionError("this task holds a unit already; use nested() in it")
        if task is not None:
            self._holding.add(task)
        return task

    async def _take(self, engine: AsyncEngine, owner_id: str | None, *, reads: bool) -> Session:
        owner = _valid_owner(owner_id)
        unit = self._unit(engine, reads=reads)
        await unit.take(self._sandbox)
        return Session(unit, owner, self.settings)

    def _unit(self, engine: AsyncEngine, *, reads: bool) -> Unit:
        driver, slow_ms = self._ready().driver, self.settings.slow_query_ms
        return Unit(engine, driver, self._prepared, self._remembered, slow_ms, reads=reads)

    @asynccontextmanager
    async def _statements(self, *, writes: bool) -> AsyncIterator[AsyncConnection]:
        unit = self.transaction() if writes else self.session()
        async with unit as session:
            yield await session.core()


def _valid_owner(owner_id: str | None) -> str | None:
    """Every statement of the unit compares with it: what no column holds is refused before the first."""
    try:
        return None if owner_id is None else check_text(owner_id)
    except ValueError as error:
        raise InvalidInputError("owner_id", str(error)) from None
