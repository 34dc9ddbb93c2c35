"""How we connect to SQLite: one writer in fair order, readers beside it, real transactions, vector distances."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiosqlite
import numpy as np
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from database.errors import ConfigurationError
from database.health import IndexedColumns, VectorSupport
from database.settings import Settings
from database.sqlite_connection import StatementCancelled, StoppableConnection
from database.sqlite_functions import register
from database.sqlite_integrity import damage as damage
from database.sqlite_integrity import rebuild_damaged as rebuild_damaged
from database.url import is_memory, make_parent_folder
from models.values import dump_json

LEAST_LIBRARY = (3, 35)
READ_ONLY = "persona_store_read_only"
AUTOCOMMIT = "persona_store_autocommit"


def create_engines(url: sa.URL, settings: Settings) -> tuple[AsyncEngine, AsyncEngine]:
    """(writer, reader). In memory both are one connection; else readers have a pool of their own."""
    if sqlite3.sqlite_version_info < LEAST_LIBRARY:
        raise ConfigurationError(f"SQLite 3.{LEAST_LIBRARY[1]} or newer is needed, this is {sqlite3.sqlite_version}")
    make_parent_folder(url)
    writer = _create_engine(url, settings, 1, 0)
    if is_memory(url):
        return writer, writer
    return writer, _create_engine(url, settings, settings.pool_size, settings.max_overflow, "query_only=ON")


def read_only(engine: AsyncEngine) -> AsyncEngine:
    """The same pool; its transactions take no write lock and refuse to write."""
    return engine.execution_options(**{READ_ONLY: True})


def autocommit(engine: AsyncEngine) -> AsyncEngine:
    """The same pool; each statement by itself, outside of any transaction."""
    return engine.execution_options(**{AUTOCOMMIT: True})


@dataclass(frozen=True, slots=True)
class Direct:
    """Statements sent to the connection's thread, one step each."""

    is_direct: bool
    in_memory: bool
    limit: float

    async def fetch(
        self, connection: Any, sql: str, values: Sequence[object], *, begins: bool
    ) -> Sequence[Sequence[Any]]:
        driver: StoppableConnection = connection.driver_connection
        if not driver.will_begin:
            driver.limit = self.limit
            if begins:
                driver.begin(*_begin({}, self.in_memory))
        try:
            return await driver.fetch(sql, values)
        except Exception as error:
            if not isinstance(error, StatementCancelled):
                connection._handle_exception(error)
            raise

    async def commit(self, connection: Any) -> None:
        driver: StoppableConnection = connection.driver_connection
        await driver.commit()

    def has_begun(self, connection: Any) -> bool:
        driver: StoppableConnection = connection.driver_connection
        return driver.in_transaction

    def waits_to_return(self, connection: Any) -> bool:
        # Its face asks the thread in any case.
        return True


def driver(url: sa.URL, settings: Settings) -> Direct:
    return Direct(not settings.echo, is_memory(url), settings.statement_timeout_ms / 1000)


def unhurried(connection: Connection) -> None:
    """No statement of this transaction is stopped for the time that it takes; for upkeep."""
    _driver(connection).limit = 0


def vector_support(connection: Connection) -> VectorSupport:
    return VectorSupport("numpy", np.__version__, "2")


INDEXED_COLUMNS = """
SELECT t.name AS tab, i.name AS idx, c.name AS col
FROM sqlite_master AS t JOIN pragma_index_list(t.name) AS i JOIN pragma_index_info(i.name) AS c
WHERE t.type = 'table' AND NOT i.partial
ORDER BY t.name, i.name, c.seqno
"""


def indexed_columns(connection: Connection) -> IndexedColumns:
    """A key that is the rowid itself has no index and needs none: it counts as one."""
    found: dict[str, dict[str, list[str | None]]] = {}
    for (_, table), key in sa.inspect(connection).get_multi_pk_constraint().items():
        found[table] = {"": list(key["constrained_columns"])}
    for table, index, column in connection.execute(sa.text(INDEXED_COLUMNS)):
        found.setdefault(table, {}).setdefault(index, []).append(column)
    return {table: list(indexes.values()) for table, indexes in found.items()}


def _create_engine(url: sa.URL, settings: Settings, pool_size: int, max_overflow: int, *pragmas: str) -> AsyncEngine:
    def connect(path: str, **options: Any) -> aiosqlite.Connection:
        return StoppableConnection(partial(_open, path, settings, options, pragmas), iter_chunk_size=64)

    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=settings.pool_timeout,
        echo=settings.echo,
        hide_parameters=True,
        json_serializer=dump_json,
        connect_args={"async_creator_fn": connect},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, entry: object) -> None:
        connection.driver_connection.is_ready = True

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        driver = _driver(connection)
        driver.limit = 0 if options.get(AUTOCOMMIT, False) else settings.statement_timeout_ms / 1000
        if not driver.will_begin:
            driver.begin(*_begin(options, is_memory(url)))

    return engine


def _begin(options: Mapping[str, Any], in_memory: bool) -> Sequence[str]:
    reads = options.get(READ_ONLY, False)
    # In memory the one connection serves both kinds of unit, so each says which it is.
    said = [f"PRAGMA query_only={'ON' if reads else 'OFF'}"] if in_memory else []
    if options.get(AUTOCOMMIT, False):
        return said
    return [*said, "BEGIN" if reads else "BEGIN IMMEDIATE"]


def _open(path: str, settings: Settings, options: dict[str, Any], pragmas: Sequence[str]) -> sqlite3.Connection:
    """In the connection's own thread: what is done here is one step for who waits."""
    # isolation_level None: the driver begins nothing by itself, so that our BEGIN is the one that counts.
    connection = sqlite3.connect(path, **options | {"isolation_level": None})
    try:
        for pragma in (
            f"busy_timeout={settings.sqlite_busy_timeout_ms}",
            "foreign_keys=ON",
            "recursive_triggers=ON",
            "journal_mode=WAL",
            f"synchronous={settings.sqlite_synchronous}",
            "temp_store=MEMORY",
            "cache_size=-32000",
            *pragmas,
        ):
            connection.execute(f"PRAGMA {pragma}").close()
        return register(connection, settings.sqlite_vector_memory_mb)
    except BaseException:
        connection.close()
        raise


def _driver(connection: Connection) -> StoppableConnection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, StoppableConnection)
    return driver
