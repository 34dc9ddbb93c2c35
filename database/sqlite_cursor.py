"""A cursor of a connection whose statements are steps of a thread: its first rows come with the statement."""

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from database.sqlite_connection import StoppableConnection

AT_ONCE = 1_000
"""Rows that are read in the step of their statement; of more, memory stays flat for who reads them one by one."""


class StepCursor:
    """A cursor as SQLAlchemy needs it. Its first rows come with the statement, and mostly there are no others."""

    arraysize = 1
    description: Any = None
    rowcount = -1
    lastrowid: int | None = None

    def __init__(self, connection: "StoppableConnection") -> None:
        self._connection = connection
        self._open: sqlite3.Cursor | None = None
        self._rows: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, values: Sequence[object] = ()) -> Self:
        def work() -> None:
            cursor = self._begun()
            try:
                cursor.execute(sql, values)
                self.description = cursor.description
                if self.description is not None:
                    self._rows = cursor.fetchmany(AT_ONCE)
                self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
            except BaseException:
                # Else it would keep its lock until the garbage collector finds it.
                cursor.close()
                raise
            if len(self._rows) < AT_ONCE:
                cursor.close()
            else:
                self._open = cursor

        await self._connection.do(work)
        return self

    async def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> Self:
        def work() -> None:
            cursor = self._begun()
            try:
                cursor.executemany(sql, rows)
                self.rowcount = cursor.rowcount
            finally:
                cursor.close()

        await self._connection.do(work)
        return self

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        if self._open is not None:
            rows += await self._connection.do(partial(all_rows, self._open))
            self._open = None
        return rows

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        wanted = size or self.arraysize
        if len(self._rows) < wanted and self._open is not None:
            self._rows += await self._connection.do(partial(self._open.fetchmany, wanted - len(self._rows)))
        rows, self._rows = self._rows[:wanted], self._rows[wanted:]
        return rows

    async def fetchone(self) -> Any:
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def close(self) -> None:
        cursor, self._open = self._open, None
        if cursor is not None:
            await self._connection.do(cursor.close, limited=False, closes=True)

    def _begun(self) -> sqlite3.Cursor:
        self._connection.send_pending()
        return self._connection._conn.cursor()


def all_rows(cursor: sqlite3.Cursor) -> list[Any]:
    try:
        return cursor.fetchall()
    finally:
        cursor.close()
