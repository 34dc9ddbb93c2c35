"""Many new rows, a statement a batch: a column is made ready for the driver at once, not each value of each row."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Self

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from database.prepared import Convert, Prepared

TARGET = "persona_store_bulk_target"
"""The execution option of a bulk INSERT: an engine may have a faster way to the same end."""

FEW = 16
"""A column with so few objects, as a kind or a key that all rows share has, is converted once for each of them."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the rows of a bulk INSERT are for; `sent` becomes true when the last of them is on its way."""

    table: str
    columns: Sequence[str]
    schema: str | None = None
    sent: asyncio.Event = field(default_factory=asyncio.Event)

    def all_sent(self) -> Iterator[tuple[object, ...]]:
        """No record: the end of an iterator over records."""
        self.sent.set()
        yield from ()


class BulkInsert:
    """Rows into one table, batch after batch: while the database stores one, its caller makes the next.

    As a context manager: at its end all are stored. Between `put` and `done` nobody else uses the connection.
    """

    def __init__(self, connection: AsyncConnection, table: sa.Table) -> None:
        self._connection = connection
        self._table = table
        self._insert = _insert_into(table, connection.dialect)
        self._storing: asyncio.Task[object] | None = None

    async def put(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Rows that name every column, with values that are valid for it: one statement, once the one before is done.

        Returns when all has been sent. What the database says to it, `done` or the next `put` raises.
        """
        if not rows:
            return
        columns = [
            _for_driver([row[name] for row in rows], process)
            for name, process in zip(self._insert.names, self._insert.converts, strict=True)
        ]
        records = list(zip(*columns, strict=True))
        await self.done()
        target = Target(self._table.name, self._insert.names, self._table.schema)
        statement = self._connection.exec_driver_sql(self._insert.sql, records, execution_options={TARGET: target})
        self._storing = asyncio.ensure_future(statement)
        self._storing.add_done_callback(lambda _: target.sent.set())
        await target.sent.wait()

    async def done(self) -> None:
        storing, self._storing = self._storing, None
        if storing is not None:
            await storing

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError) and self._storing is not None:
            self._storing.cancel()
        await self.done()


@lru_cache(maxsize=256)
def _insert_into(table: sa.Table, dialect: Dialect) -> Prepared:
    """Of every column."""
    return Prepared(sa.insert(table), dialect)


def _for_driver(values: Sequence[object], process: Convert | None) -> Sequence[object]:
    if process is None:
        return values
    objects = dict(zip(map(id, values), values, strict=True))
    if len(objects) <= FEW:
        done = {key: process(value) for key, value in objects.items()}
        return [done[key] for key in map(id, values)]
    if all(type(value) is dict and not value for value in values):
        return [process({})] * len(values)
    return [process(value) for value in values]
