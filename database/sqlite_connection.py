"""A connection to SQLite whose statements can be stopped: with their task, or when they have run for too long."""

import asyncio
import contextlib
import sqlite3
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

import aiosqlite

P = ParamSpec("P")
T = TypeVar("T")

STEPS = {"execute", "executemany", "fetchone", "fetchmany", "fetchall"}
"""The calls of a cursor in which a statement runs. COMMIT is none of them: it is not stopped half-way."""

AGAIN = 0.05
"""Seconds. While its thread has not come to the statement, there is nothing to stop."""


class StatementCancelled(Exception):
    """The task was cancelled and its statement has been stopped; the connection is as good as before.

    Not a CancelledError until it has passed SQLAlchemy, which would throw the connection away: with it the whole
    database in memory, or a cursor that keeps the write lock until the garbage collector finds it.
    """


class StoppableConnection(aiosqlite.Connection):
    """Stops the statement of a cancelled task; alone it would run to its end in its thread.

    And one that has run for longer than `limit` seconds, which is then refused as SQLITE_INTERRUPT; 0: none is.
    """

    limit: float = 0
    is_ready: bool = False
    """Before that, as it is opened, nothing is stopped: a connection that is half made would stay open for ever."""

    _step: "asyncio.Future[Any] | None" = None
    _stopping: "asyncio.Future[Any] | None" = None
    _since: float = 0
    _watched: bool = False

    def __init__(self, connector: Callable[[], sqlite3.Connection], iter_chunk_size: int) -> None:
        super().__init__(connector, iter_chunk_size)
        # A program that forgets to close its database ends all the same.
        self._thread.daemon = True

    def stop(self) -> "asyncio.Future[Any] | None":
        self._stopping = super().stop()
        return self._stopping

    async def _connect(self) -> aiosqlite.Connection:
        opening = asyncio.ensure_future(self._open())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            return await _cancelled_later(opening)

    async def _open(self) -> aiosqlite.Connection:
        try:
            return await super()._connect()
        except Exception:
            # Its thread ends with a word to the loop, which may be closed as soon as the caller knows.
            if self._stopping is not None:
                await self._stopping
            raise

    async def _execute(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        execute: Callable[..., Awaitable[T]] = super()._execute
        # aiosqlite logs the call at DEBUG: without arguments of its own it shows no values.
        work = asyncio.ensure_future(execute(lambda: fn(*args, **kwargs)))
        if self.limit and getattr(fn, "__name__", None) in STEPS:
            self._watch(work)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if self._connection is None:
                raise
            closes = isinstance(getattr(fn, "__self__", None), sqlite3.Cursor) and fn.__name__ == "close"
            if closes or not self.is_ready:
                return await _cancelled_later(work)
            while not work.done():
                # Again and again: while its thread has not come to the statement, there is nothing to stop.
                self._connection.interrupt()
                # And whole: to be cancelled once more would leave it running, with its lock.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([work], timeout=0.01)
            raise StatementCancelled from work.exception()
        finally:
            self._step = None

    def _watch(self, work: "asyncio.Future[Any]") -> None:
        """One timer a connection, that looks what runs when it rings: one a statement would cost ten times as much."""
        loop = work.get_loop()
        self._step, self._since = work, loop.time()
        if not self._watched:
            self._watched = True
            loop.call_later(self.limit, _ring, weakref.ref(self))

    def ring(self) -> None:
        if self._step is None or self._step.done() or self._connection is None:
            self._watched = False
            return
        loop = self._step.get_loop()
        left = self._since + self.limit - loop.time()
        if left <= 0:
            self._connection.interrupt()
            left = AGAIN
        loop.call_later(left, _ring, weakref.ref(self))


def _ring(reference: "weakref.ref[StoppableConnection]") -> None:
    connection = reference()
    if connection is not None:
        connection.ring()


async def _cancelled_later(work: "asyncio.Future[T]") -> T:
    """The end of `work`; the task is cancelled again where it waits next.

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
    return work.result()
