"""The raw-SQL door: named `:params`, the same text on both databases, values converted by their Python type."""

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from database.errors import InvalidInputError
from models.types import Json, Money, UTCDateTime, Vector
from models.values import check_integer, check_json, check_money, check_text, check_time, vector_array

COLUMN_TYPES: dict[type, sa.types.TypeEngine[Any]] = {
    UUID: sa.Uuid(),
    datetime: UTCDateTime(),
    Decimal: Money(),
    dict: Json(),
    np.ndarray: Vector(),
    bool: sa.Boolean(),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement did: rows touched, and milliseconds from sending it to its answer."""

    row_count: int
    duration_ms: float


class Rows(list[dict[str, object]]):
    """The rows of an answer, in its order, each by column name."""

    def __init__(self, rows: Iterable[dict[str, object]], duration_ms: float) -> None:
        super().__init__(rows)
        self.duration_ms = duration_ms

    @property
    def row_count(self) -> int:
        return len(self)

    def column(self, name: str) -> list[object]:
        return [row[name] for row in self]


class RawSql(ABC):
    """The verbs; who has them says on which connection they run.

    Parameters: UUID, aware datetime, Decimal, enum, dict (JSON), numpy array (vector), a list or tuple for `IN :name`,
    and what SQL knows by itself. Rows come as the driver gives them; `columns={"id": UUID, ...}` names Python types to
    have them in. Raises InvalidInputError with the parameter's name for a value that cannot be stored.
    """

    @abstractmethod
    def _statements(self, *, writes: bool) -> AbstractAsyncContextManager[AsyncConnection]: ...

    async def execute(self, sql: str, params: Mapping[str, object] | None = None) -> Outcome:
        statement = _bind(sql, params or {})
        async with self._statements(writes=True) as connection:
            started = time.perf_counter()
            result = await connection.execute(statement)
            return Outcome(max(result.rowcount, 0), _since(started))

    async def execute_many(self, sql: str, rows: Iterable[Mapping[str, object]]) -> Outcome:
        """The statement once for each row, in one batch and one transaction.

        `row_count` is the number of rows given: PostgreSQL does not count what a batch touches.
        """
        batch = [{name: _value(name, value) for name, value in row.items()} for row in rows]
        if not batch:
            return Outcome(0, 0.0)
        if any(row.keys() != batch[0].keys() for row in batch):
            raise InvalidInputError("rows", "do not all name the same parameters")
        samples = {name: next((row[name] for row in batch if row[name] is not None), None) for name in batch[0]}
        statement = _bind(sql, samples)
        async with self._statements(writes=True) as connection:
            started = time.perf_counter()
            await connection.execute(statement, batch)
            return Outcome(len(batch), _since(started))

    async def fetch_all(
        self, sql: str, params: Mapping[str, object] | None = None, *, columns: Mapping[str, type] | None = None
    ) -> Rows:
        statement = _bind(sql, params or {}, columns)
        async with self._statements(writes=False) as connection:
            started = time.perf_counter()
            result = await connection.execute(statement)
            return Rows((dict(row) for row in result.mappings()), _since(started))

    async def fetch_one(
        self, sql: str, params: Mapping[str, object] | None = None, *, columns: Mapping[str, type] | None = None
    ) -> dict[str, object] | None:
        """The first row, or None."""
        async with self._statements(writes=False) as connection:
            row = (await connection.execute(_bind(sql, params or {}, columns))).mappings().first()
            return None if row is None else dict(row)

    async def fetch_value(self, sql: str, params: Mapping[str, object] | None = None) -> object:
        """The first column of the first row, or None."""
        async with self._statements(writes=False) as connection:
            row = (await connection.execute(_bind(sql, params or {}))).first()
            return None if row is None else row[0]

    async def stream(
        self, sql: str, params: Mapping[str, object] | None = None, *, columns: Mapping[str, type] | None = None
    ) -> AsyncIterator[dict[str, object]]:
        """Row by row, memory flat; the connection is held until the last row or the end of the loop."""
        async with (
            self._statements(writes=False) as connection,
            connection.stream(_bind(sql, params or {}, columns), execution_options={"yield_per": 500}) as result,
        ):
            async for row in result.mappings():
                yield dict(row)

    async def table_exists(self, name: str) -> bool:
        async with self._statements(writes=False) as connection:
            return await connection.run_sync(lambda inner: sa.inspect(inner).has_table(name))


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _bind(
    sql: str, params: Mapping[str, object], columns: Mapping[str, type] | None = None
) -> sa.TextClause | sa.TextualSelect:
    values = {name: _value(name, value) for name, value in params.items()}
    try:
        statement = sa.text(sql).bindparams(*(_parameter(name, value) for name, value in values.items()))
    except sa.exc.ArgumentError:
        raise InvalidInputError("params", "name something that the statement does not ask for") from None
    if columns is None:
        return statement
    return statement.columns(**{name: COLUMN_TYPES.get(kind, sa.types.NullType()) for name, kind in columns.items()})


def _parameter(name: str, value: object) -> sa.BindParameter[Any]:
    if isinstance(value, list):
        kind = COLUMN_TYPES.get(type(value[0])) if value else None
        return sa.bindparam(name, value, type_=kind, expanding=True)
    return sa.bindparam(name, value, type_=COLUMN_TYPES.get(type(value)))


def _value(name: str, value: object) -> object:
    """`value` as its column would take it; what no database keeps is refused here, on both alike."""
    try:
        match value:
            case None | bool() | bytes():
                return value
            case Enum():
                return value.value
            case str():
                return check_text(value)
            case int():
                return check_integer(value)
            case datetime():
                return check_time(value)
            case Decimal():
                return check_money(value)
            case dict():
                return check_json(value)
            case np.ndarray():
                return vector_array(value)
            case list() | tuple():
                return [_value(name, item) for item in value]
            case float() if value != value or abs(value) == float("inf"):
                raise ValueError("number must be finite")
    except ValueError as error:
        raise InvalidInputError(name, str(error)) from None
    return value
