"""A connection for one unit: taken from its pool, begun with its first statement, ended once.

What is sent often goes straight to the driver, in the same transaction as what goes through SQLAlchemy, whose own
connection is made when it is first asked for.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction
from sqlalchemy.pool import PoolProxiedConnection, QueuePool
from sqlalchemy.util import greenlet_spawn

from database.engine import BROKEN, Driver, in_our_words, is_broken, log_if_slow
from database.errors import STATEMENT_FAILED, TransactionError
from database.prepared import Prepared, Statement

MOST_PREPARED = 1_000
"""Statements that a database keeps compiled: a search has a form for each set of filters in each space."""

LISTENERS_OF_OURS = 1
"""Of each statement, in `engine`. Whoever else listens, as a tracer does, shall hear every statement."""


class Unit:
    """`take()` it, and `give_back()` whatever happens; `keep()` before that what it has done."""

    def __init__(
        self,
        engine: AsyncEngine,
        driver: Driver,
        prepared: dict[Statement, Prepared],
        remembered: set[str],
        slow_ms: float,
        *,
        reads: bool,
    ) -> None:
        self._engine = engine
        self._driver = driver
        self._prepared = prepared
        self.remembered = remembered
        self._slow_ms = slow_ms
        self.only_reads = reads
        self._pool = engine.sync_engine.pool
        self._taken: PoolProxiedConnection | None = None
        self._connection: AsyncConnection | None = None
        self._savepoint: AsyncTransaction | None = None

    async def take(self, outer: AsyncConnection | None = None) -> None:
        """A connection of the pool; or `outer`, in which the unit is a savepoint."""
        if outer is not None:
            self._connection = outer
            self._savepoint = await outer.begin_nested()
            return
        try:
            self._taken = await greenlet_spawn(self._engine.sync_engine.raw_connection)
        except Exception as error:
            raise (in_our_words(error) or error) from error
        self._taken.info.pop(BROKEN, None)

    def connection(self) -> AsyncConnection:
        """SQLAlchemy's own, for whatever is not sent often."""
        if self._connection is None:
            engine = self._engine.sync_engine
            self._connection = AsyncConnection(self._engine, sa.Connection(engine, self._taken))
        return self._connection

    @property
    def dialect_name(self) -> str:
        return self._engine.sync_engine.dialect.name

    @property
    def is_idle(self) -> bool:
        """Nothing was begun: to give the connection back no answer is waited for."""
        return self._connection is None and self._pool_is_open() and not self._driver.has_begun(self._pooled())

    @property
    def is_broken(self) -> bool:
        if self._connection is not None:
            return is_broken(self._connection)
        return self._taken is None or bool(self._taken.info.get(BROKEN))

    async def fetch(
        self, statement: Statement, values: Mapping[str, object], *, reads: bool = False, begins: bool = True
    ) -> Sequence[Sequence[Any]]:
        """The rows of a statement that is built once, its values and columns converted by their types.

        What only `reads` needs no transaction in a unit that only reads: each statement sees what is there when it is
        sent, as READ COMMITTED has it. Where it does not begin one, the database keeps what it writes by itself.
        """
        if not self._is_direct():
            result = await self.connection().execute(statement, values)
            return result.all() if result.returns_rows else []
        if self.is_broken:
            raise TransactionError(STATEMENT_FAILED)
        if self.only_reads and not reads:
            # Its transaction knows that it is one.
            self.connection()
        prepared = self._prepared.get(statement)
        if prepared is None:
            if len(self._prepared) >= MOST_PREPARED:
                self._prepared.clear()
            prepared = self._prepared[statement] = Prepared(statement, self._engine.dialect)
        begins = begins and not (self.only_reads and reads)
        started = time.perf_counter()
        try:
            given = prepared.values(values)
            found = await self._driver.fetch(self._pooled(), prepared.sql, given, begins=begins)
        except BaseException as error:
            await self._refused(error, prepared.sql)
        log_if_slow(prepared.sql, started, self._slow_ms)
        return prepared.rows(found)

    async def fetch_and_keep(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """`fetch` of a statement that is all of the unit: straight to the driver it needs no BEGIN and no COMMIT."""
        rows = await self.fetch(statement, values, begins=self._commit_is_heard)
        if not self.is_idle:
            await self.keep()
        return rows

    async def keep(self) -> None:
        """Commit, which may be refused: then nothing is kept."""
        if self._savepoint is not None:
            await self._savepoint.commit()
            return
        connection = self._connection
        if self._commit_is_heard and not (connection is not None and connection.in_transaction()):
            # SQLAlchemy tells of its own only.
            connection = self.connection()
            await connection.begin()
        # It may have been asked for and not used: then it knows of no transaction, and the driver alone does.
        if connection is not None and connection.in_transaction():
            await self._commit_of_sqlalchemy(connection)
        else:
            try:
                await self._driver.commit(self._pooled())
            except BaseException as error:
                await self._refused(error, "COMMIT")

    async def give_back(self) -> None:
        """What was not committed is undone. A connection whose pool was closed meanwhile waits for nobody there."""
        if self._savepoint is not None:
            if self._savepoint.is_active:
                await self._savepoint.rollback()
        elif self._connection is not None:
            await self._connection.close()
        elif self._taken is not None:
            if self._waits_to_return():
                await greenlet_spawn(self._taken.close)
            else:
                self._taken.close()
        if not self._pool_is_open():
            await greenlet_spawn(self._pool.dispose)

    @property
    def is_wanted(self) -> bool:
        """Its end is: another unit may wait for the connection, or whoever closed its pool."""
        pool = self._pool
        there_are_more = isinstance(pool, QueuePool) and (pool.checkedin() > 0 or pool.overflow() < 0)
        return self._savepoint is not None or not there_are_more or not self._pool_is_open()

    @property
    def _commit_is_heard(self) -> bool:
        """Somebody listens to commits."""
        return bool(self._engine.sync_engine.dispatch.commit)

    def _waits_to_return(self) -> bool:
        """For an answer; a connection for which the pool has no place is closed, with a farewell."""
        pool = self._pool
        has_place = isinstance(pool, QueuePool) and pool.checkedin() < pool.size()
        return not has_place or self._driver.waits_to_return(self._pooled())

    def _pool_is_open(self) -> bool:
        return self._pool is self._engine.sync_engine.pool

    def _is_direct(self) -> bool:
        connection = self._engine.sync_engine if self._connection is None else self._connection.sync_connection
        assert connection is not None
        return self._driver.is_direct and len(connection.dispatch.before_cursor_execute) <= LISTENERS_OF_OURS

    def _pooled(self) -> Any:
        """SQLAlchemy's face of the driver's connection: it knows whether a transaction has begun."""
        taken = self._taken
        if taken is None:
            connection = self.connection().sync_connection
            assert connection is not None
            taken = connection.connection
        return taken.dbapi_connection

    async def _commit_of_sqlalchemy(self, connection: AsyncConnection) -> None:
        try:
            await connection.commit()
        except Exception:
            await connection.run_sync(_undo_refused)
            raise

    async def _refused(self, error: BaseException, sql: str) -> NoReturn:
        await self.connection().run_sync(_refuse, error, sql)
        raise AssertionError("a refused statement raises") from error


def _undo_refused(connection: sa.Connection) -> None:
    """After a COMMIT that was refused: SQLite keeps that transaction open, and SQLAlchemy takes it for ended."""
    if not connection.invalidated:
        connection.connection.rollback()
        connection.info.pop(BROKEN, None)


def _refuse(connection: sa.Connection, error: BaseException, sql: str) -> None:
    """All that SQLAlchemy does for a statement of its own: our error, a unit marked as broken, a lost connection
    taken out of its pool."""
    if not connection.in_transaction():
        # Else it would undo by itself, and the unit would look as good as new.
        connection.begin()
    try:
        raise error
    except BaseException as raised:
        connection._handle_dbapi_exception(raised, sql, None, None, None)
