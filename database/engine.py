"""Engines for a URL, and what every connection of them does alike: our errors, slow statements, broken units."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from database import postgres, sqlite
from database.errors import STATEMENT_FAILED, TransactionError
from database.health import Damage, IndexedColumns, VectorSupport
from database.settings import Settings
from database.sqlite_connection import StatementCancelled
from database.translation import translate

logger = logging.getLogger(__name__)

BROKEN = "persona_store_broken"
STARTED = "persona_store_started"


class Backend(Protocol):
    """What each database does its own way, besides making its engines."""

    def read_only(self, engine: AsyncEngine) -> AsyncEngine: ...

    def autocommit(self, engine: AsyncEngine) -> AsyncEngine: ...

    def vector_support(self, connection: Connection) -> VectorSupport: ...

    def indexed_columns(self, connection: Connection) -> IndexedColumns: ...

    def damage(self, connection: Connection) -> Sequence[Damage]: ...

    def rebuild_damaged(self, connection: Connection) -> None: ...


class Driver(Protocol):
    """How a statement goes straight to the driver. `connection` is SQLAlchemy's face of it, from the pool."""

    @property
    def is_direct(self) -> bool:
        """False: everything goes through SQLAlchemy."""

    async def fetch(
        self, connection: Any, sql: str, values: Sequence[object], *, begins: bool
    ) -> Sequence[Sequence[Any]]:
        """Inside the connection's transaction, which it begins where it has not; outside of any if not `begins`."""

    async def commit(self, connection: Any) -> None: ...

    def has_begun(self, connection: Any) -> bool: ...

    def waits_to_return(self, connection: Any) -> bool:
        """To give it back to its pool, which undoes what was begun, an answer is waited for."""


@dataclass(frozen=True, slots=True)
class Engines:
    """`writer` for units that write, `reader` for those that only read, `autocommit` for what refuses a unit.

    `one_writer`: all writers share one connection, so a task that holds it must not ask for it again.
    `one_connection`: readers share it too.
    """

    writer: AsyncEngine
    reader: AsyncEngine
    autocommit: AsyncEngine
    driver: Driver
    one_writer: bool = False
    one_connection: bool = False

    async def dispose(self) -> None:
        await self.writer.dispose()
        await self.reader.dispose()


def create_engines(url: sa.URL, read_url: sa.URL | None, settings: Settings) -> Engines:
    on_sqlite = url.get_backend_name() == "sqlite"
    if on_sqlite:
        writer, reader = sqlite.create_engines(url, settings)
    else:
        writer = postgres.create_engine(url, settings)
        reader = writer if read_url is None else postgres.create_engine(read_url, settings)
    for engine in {writer.sync_engine, reader.sync_engine}:
        _listen(engine, settings.slow_query_ms)
    backend = backend_of(url.get_backend_name())
    return Engines(
        writer,
        backend.read_only(reader),
        backend.autocommit(writer),
        sqlite.driver(url, settings) if on_sqlite else postgres.driver(settings),
        one_writer=on_sqlite,
        one_connection=on_sqlite and reader is writer,
    )


def backend_of(dialect_name: str) -> Backend:
    return sqlite if dialect_name == "sqlite" else postgres


def in_our_words(error: BaseException, *, disconnected: bool = False) -> BaseException | None:
    """What the caller shall see instead of a driver's error; None: the error itself."""
    if isinstance(error, StatementCancelled):
        return asyncio.CancelledError()
    return translate(error, disconnected=disconnected)


def is_broken(connection: Connection | AsyncConnection) -> bool:
    """Whether a statement of the connection's transaction has failed and was not undone by a savepoint."""
    return connection.invalidated or bool(connection.info.get(BROKEN))


def _listen(engine: Engine, slow_query_ms: float) -> None:
    @event.listens_for(engine, "handle_error")
    def failed(context: ExceptionContext) -> BaseException | None:
        connection, error = context.connection, context.original_exception
        in_database = isinstance(context.sqlalchemy_exception, sa.exc.DBAPIError)
        stopped = isinstance(error, StatementCancelled)
        if connection is not None and (in_database or stopped) and not context.is_disconnect:
            connection.info[BROKEN] = True
        return in_our_words(error, disconnected=context.is_disconnect)

    @event.listens_for(engine, "begin")
    @event.listens_for(engine, "rollback")
    def mended(connection: Connection) -> None:
        if not connection.invalidated and not connection.closed:
            connection.info.pop(BROKEN, None)

    @event.listens_for(engine, "rollback_savepoint")
    def mended_to_savepoint(connection: Connection, name: str, context: None) -> None:
        mended(connection)

    @event.listens_for(engine, "before_cursor_execute")
    def starts(connection: Connection, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        # PostgreSQL refuses to go on after a failed statement, SQLite would: one rule for both.
        if is_broken(connection):
            raise TransactionError(STATEMENT_FAILED)
        connection.info[STARTED] = time.perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def ends(connection: Connection, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        log_if_slow(statement, connection.info[STARTED], slow_query_ms)


def log_if_slow(statement: str, started: float, slow_query_ms: float) -> None:
    took_ms = (time.perf_counter() - started) * 1000
    if took_ms >= slow_query_ms:
        logger.warning("slow_query duration_ms=%.0f statement=%s", took_ms, " ".join(statement.split()))
