"""How each kind of value is stored: one portable column type a kind, the same result on every database."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import sqlalchemy as sa
from pgvector import Vector as VectorValue
from pgvector.sqlalchemy import VECTOR
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlmodel.sql import sqltypes

from models.values import (
    MONEY_DIGITS,
    MONEY_PLACES,
    VectorLike,
    check_json,
    check_money,
    dump_json,
    load_json,
    vector_array,
)

__all__ = ["Json", "Money", "StringEnum", "UTCDateTime", "Vector"]

Processor: TypeAlias = Callable[[Any], Any]
"""What SQLAlchemy calls with each value that is read."""


class Json(sa.TypeDecorator[Any]):
    """JSONB on PostgreSQL, JSON text on SQLite. `none_as_null=False` keeps Python's None as JSON null."""

    impl = sa.JSON
    cache_ok = True

    def __init__(self, none_as_null: bool = True) -> None:
        super().__init__(none_as_null=none_as_null)
        self.none_as_null = none_as_null

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(JSONB(none_as_null=self.none_as_null))
        # Declared as JSON the column would have numeric affinity, and the text 1.0 in it become the integer 1.
        return dialect.type_descriptor(sa.Text())

    def coerce_compared_value(self, op: object, value: object) -> sa.types.TypeEngine[Any]:
        return sa.JSON().coerce_compared_value(op, value)  # type: ignore[arg-type]  # the base's own type for op is private

    def process_bind_param(self, value: object, dialect: Dialect) -> object:
        check_json(value)
        if dialect.name == "postgresql" or (value is None and self.none_as_null):
            return value
        return dump_json(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        """None where the driver's codec has read it: what is read often is read without a call of ours."""
        return _load_json if dialect.name == "sqlite" else None


def _load_json(value: Any) -> object:
    return load_json(value) if isinstance(value, str) else value


class UTCDateTime(sqltypes.UTCDateTime):
    """An instant, in UTC. TIMESTAMPTZ on PostgreSQL, whose driver gives it so; text in UTC on SQLite."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        return _load_time if dialect.name == "sqlite" else _in_utc


def _load_time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(f"{value}+00:00")


def _in_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    # The driver has a naive time of its own for the first instant of year 1.
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class StringEnum(sa.TypeDecorator[StrEnum]):
    """The lower-case value of a StrEnum as text; the CHECK stands on the table."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else self.kind(value).value

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        # A look into a dict: several times faster than a call of the enum, and there are many to read.
        members: dict[str | None, StrEnum | None] = {None: None, **{member.value: member for member in self.kind}}
        return members.__getitem__


class Money(sa.TypeDecorator[Decimal]):
    """Exact amounts that the database can sum: NUMERIC on PostgreSQL, an integer scaled by 10**10 on SQLite."""

    impl = sa.Numeric(MONEY_DIGITS, MONEY_PLACES)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.BigInteger())
        return dialect.type_descriptor(sa.Numeric(MONEY_DIGITS, MONEY_PLACES))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | int | None:
        if value is None:
            return None
        amount = check_money(value)
        return int(amount.scaleb(MONEY_PLACES)) if dialect.name == "sqlite" else amount

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return Decimal(int(value)).scaleb(-MONEY_PLACES)
        return Decimal(value).quantize(Decimal(1).scaleb(-MONEY_PLACES))


class _BinaryVector(VECTOR):
    """Leaves values to the codec of the connection: several times faster than pgvector's text form."""

    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> None:
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        return None


class Vector(sa.TypeDecorator[list[float]]):
    """`vector` without a width on PostgreSQL, little-endian float32 bytes on SQLite."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        kind = _BinaryVector() if dialect.name == "postgresql" else sa.LargeBinary()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: VectorLike | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        array = vector_array(value)
        return array if dialect.name == "postgresql" else array.astype("<f4").tobytes()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> list[float] | None:
        if value is None:
            return None
        if isinstance(value, VectorValue):
            return value.to_list()
        numbers: list[float] = np.frombuffer(value, dtype="<f4").tolist()
        return numbers
