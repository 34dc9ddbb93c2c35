"""A connection to SQLite: a statement is one step of its thread, and can be stopped there.

Each step costs two changes of thread, as much as a small statement itself. So BEGIN waits for the first statement and
goes with it, and rows come along as long as they are few.
"""

import asyncio
import contextlib
import math
import sqlite3
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

import aiosqlite

from database.sqlite_cursor import StepCursor, all_rows

P = ParamSpec("P")
T = TypeVar("T")

AGAIN = 0.05
"""Seconds. While its thread has not come to the statement, there is nothing to stop."""


class StatementCancelled(Exception):
    """The task was cancelled and its statement has been stopped; the connection is as good as before.

    Not a CancelledError until it has passed SQLAlchemy, which would throw the connection away: with it the whole
    database in memory, or a cursor that keeps the write lock until the garbage collector finds it.
    """


class _Step(Generic[T]):
    """What the thread does, with its outcome kept: who waited for it may be cancelled meanwhile."""

    __slots__ = ("error", "result", "work")

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self.error: BaseException | None = None

    def __call__(self) -> T:
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error
            raise
        return self.result

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self.result


class StoppableConnection(aiosqlite.Connection):
    """Stops the statement of a cancelled task; alone it would run to its end in its thread.

    And one that has run for longer than `limit` seconds, which is then refused as SQLITE_INTERRUPT; 0: none is.
    """

    limit: float = 0
    is_ready: bool = False
    """Before that, as it is opened, nothing is stopped: a connection that is half made would stay open for ever."""

    _pending: Sequence[str] = ()
    _stopping: "asyncio.Future[Any] | None" = None
    _step: "asyncio.Future[Any] | None" = None
    _since: float = 0
    _watched: bool = False

    def __init__(self, connector: Callable[[], sqlite3.Connection], iter_chunk_size: int) -> None:
        super().__init__(connector, iter_chunk_size)
        # A program that forgets to close its database ends all the same.
        self._thread.daemon = True

    @property
    def will_begin(self) -> bool:
        """Or has: BEGIN was sent, or waits for the next statement."""
        return bool(self._pending) or self.in_transaction

    def begin(self, *statements: str) -> None:
        """What the next statement is preceded by, in the same step."""
        self._pending = statements

    async def fetch(self, sql: str, values: Sequence[object]) -> list[Any]:
        """The rows of one statement."""

        def work() -> list[Any]:
            self.send_pending()
            return all_rows(self._conn.execute(sql, values))

        return await self.do(work)

    def cursor(self) -> "StepCursor":  # type: ignore[override]  # SQLAlchemy asks for no more than this one has
        return StepCursor(self)

    async def commit(self) -> None:
        """Nothing to wait for where nothing was begun."""
        self._pending = ()
        if self.in_transaction:
            await super().commit()

    async def rollback(self) -> None:
        self._pending = ()
        if self.in_transaction:
            await super().rollback()

    def stop(self) -> "asyncio.Future[Any] | None":
        self._stopping = super().stop()
        return self._stopping

    async def _connect(self) -> aiosqlite.Connection:
        opening = asyncio.ensure_future(self._open())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            await _cancelled_later(opening)
            return opening.result()

    async def _open(self) -> aiosqlite.Connection:
        try:
            return await super()._connect()
        except Exception:
            # Its thread ends with a word to the loop, which may be closed as soon as the caller knows.
            if self._stopping is not None:
                await self._stopping
            raise

    async def _execute(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """aiosqlite's own steps: opening, COMMIT, ROLLBACK, closing. They are as short as they are."""
        return await self.do(partial(fn, *args, **kwargs), limited=False)

    async def do(self, work: Callable[[], T], *, limited: bool = True, closes: bool = False) -> T:
        """`work` in the connection's thread, after all that was asked of it before.

        Raises StatementCancelled where the task is cancelled meanwhile; `work` has ended then. What `closes` ends by
        itself, and the task is cancelled where it waits next.
        """
        if not self._running or self._connection is None:
            raise ValueError("Connection closed")
        loop = asyncio.get_running_loop()
        step, future = _Step(work), loop.create_future()
        if limited and self.limit:
            self._watch(loop, future)
        self._tx.put_nowait((future, step))
        try:
            await future
        except asyncio.CancelledError:
            # Steps are done in their order: behind this one nothing of ours is left.
            ended = loop.create_future()
            self._tx.put_nowait((ended, bool))
            if closes or not self.is_ready:
                await _cancelled_later(ended)
                return step.outcome()
            while not ended.done():
                # Again and again: while its thread has not come to the statement, there is nothing to stop.
                self._connection.interrupt()
                # And whole: to be cancelled once more would leave it running, with its lock.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([ended], timeout=0.01)
            raise StatementCancelled from step.error
        finally:
            self._step = None
        return step.result

    def send_pending(self) -> None:
        """In the thread. How long BEGIN waits for another process that writes is for busy_timeout to say."""
        pending, self._pending = self._pending, ()
        for statement in pending:
            self._conn.execute(statement).close()
        self._since = time.monotonic()

    def _watch(self, loop: asyncio.AbstractEventLoop, step: "asyncio.Future[Any]") -> None:
        """One timer a connection, that looks what runs when it rings: one a statement would cost ten times as much."""
        self._step, self._since = step, math.inf if self._pending else loop.time()
        if not self._watched:
            self._watched = True
            loop.call_later(self.limit, _ring, weakref.ref(self))

    def ring(self) -> None:
        if self._step is None or self._step.done() or self._connection is None:
            self._watched = False
            return
        left = min(self._since + self.limit - time.monotonic(), self.limit)
        if left <= 0:
            self._connection.interrupt()
            left = AGAIN
        self._step.get_loop().call_later(left, _ring, weakref.ref(self))


def _ring(reference: "weakref.ref[StoppableConnection]") -> None:
    connection = reference()
    if connection is not None:
        connection.ring()


async def _cancelled_later(work: "asyncio.Future[Any]") -> None:
    """Wait for the end of `work`; the task is cancelled again where it waits next.

    SQLAlchemy closes a cursor when its statement is over, and passes over whatever that raises: the cancellation would
    be lost, and with it a caller's time limit. And it forgets a connection that fails as it is opened.
    """
    task = asyncio.current_task()
    assert task is not None
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([work])
    # Who counts cancellations, as asyncio.timeout() does, shall see no more of them than there were.
    task.uncancel()
    task.cancel()
