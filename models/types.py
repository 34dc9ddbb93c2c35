"""How each kind of value is stored: one portable column type a kind, the same result on every database."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from pgvector import Vector as VectorValue
from pgvector.sqlalchemy import VECTOR
from pydantic import AfterValidator, BeforeValidator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlmodel.sql import sqltypes

__all__ = [
    "MAX_DIMENSIONS",
    "MAX_INTEGER",
    "MONEY_DIGITS",
    "MONEY_PLACES",
    "ExactSum",
    "Json",
    "JsonArray",
    "JsonObject",
    "JsonValue",
    "Microseconds",
    "Money",
    "StringEnum",
    "UTCDateTime",
    "Vector",
    "VectorLike",
    "VectorList",
    "check_integer",
    "check_json",
    "check_money",
    "check_text",
    "check_time",
    "dump_json",
    "load_json",
    "vector_array",
]

MAX_INTEGER = 2**63 - 1
"""Counters and sizes are BIGINT on both databases."""

MAX_DIMENSIONS = 16_000
"""The widest `vector` that pgvector stores."""

MONEY_DIGITS = 18
MONEY_PLACES = 10
"""18 digits of which 10 are decimals: the most whose scaled form still fits SQLite's 64-bit integer."""

MAX_JSON_DEPTH = 500
"""Deeper nesting meets the recursion limit of the encoder on the way in or out."""

FIRST_MOMENT, LAST_MOMENT = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

MAX_JSON_BITS = 13_287
"""4000 digits: Python itself neither writes nor reads more than 4300."""

HALF = np.finfo(np.float16)

TEXT_OR_LARGE_FLOAT = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?e\+\d+')
"""A JSON string, or outside of strings a float that is written with an exponent."""

VectorLike: TypeAlias = Sequence[float] | NDArray[np.floating[Any]]
"""What a vector may come as; it is kept as float32."""


def check_text(value: str) -> str:
    """Refuse what PostgreSQL cannot store and SQLite would: NUL and lone surrogates."""
    if not isinstance(value, str):
        raise ValueError("is not text")
    if "\0" in value:
        raise ValueError("text must not contain NUL")
    if not (value.isascii() or _is_unicode(value)):
        raise ValueError("text must not contain a lone surrogate")
    return value


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_integer(value: int) -> int:
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ValueError("integer is out of the 64-bit range")
    return value


def check_number(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("number must be finite")
    return value


def check_time(value: datetime) -> datetime:
    """The same instant in UTC; a naive datetime names no instant and is refused."""
    if value.utcoffset() is None:
        raise ValueError("datetime must carry a time zone")
    try:
        instant = value.astimezone(UTC)
    except OverflowError:
        raise ValueError("datetime is out of range in UTC") from None
    # PostgreSQL's driver takes the first and the last moment for minus infinity and infinity.
    if instant in (FIRST_MOMENT, LAST_MOMENT):
        raise ValueError("datetime is out of range in UTC")
    return instant


def check_json(value: object) -> object:
    """Refuse what one of the databases would change or reject: NaN, infinity, NUL, keys that are no text."""
    _check_json(value, depth=0)
    return value


def _check_json(value: object, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        raise ValueError(f"JSON is nested deeper than {MAX_JSON_DEPTH} levels")
    if value is None or isinstance(value, bool) or _is_empty_object(value):
        return
    if isinstance(value, int):
        if value.bit_length() > MAX_JSON_BITS:
            raise ValueError("JSON must not contain an integer of more than 4000 digits")
    elif isinstance(value, str):
        check_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("JSON must not contain NaN or infinity")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError("JSON object keys must be text")
            check_text(key)
            _check_json(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_json(item, depth + 1)
    else:
        raise ValueError(f"{type(value).__name__} is not a JSON value")


def _is_empty_object(value: object) -> bool:
    """What most of the JSON is that is stored."""
    return type(value) is dict and not value


def dump_json(value: object) -> str:
    """How every engine writes JSON: compact, as the text it is, without what is no JSON."""
    if _is_empty_object(value):
        return "{}"
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # JSONB would give 1e+23 back as the integer 10**23, another number: with a decimal point it stays a float.
    return TEXT_OR_LARGE_FLOAT.sub(_with_point, text) if "e+" in text else text


def load_json(text: str) -> object:
    """How every engine reads JSON; most of what is stored is an empty object."""
    return {} if text == "{}" else json.loads(text)


def _with_point(found: re.Match[str]) -> str:
    token = found[0]
    return token if token.startswith('"') else f"{float(token):.1f}"


def vector_array(value: object, dimensions: int | None = None) -> NDArray[np.float32]:
    """`value` as float32, shape (dimensions,); raises ValueError for what has no direction or no place.

    Refused whatever the metric: zero vectors, whose cosine distance is NaN and sorts differently on each database,
    and numbers beyond half precision, in which the index of a space keeps them: it would lose such a vector.
    """
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError("vector must be a flat sequence of numbers") from None
    if array.ndim != 1 or not 1 <= array.size <= MAX_DIMENSIONS:
        raise ValueError(f"vector must have 1 to {MAX_DIMENSIONS} dimensions")
    if dimensions is not None and array.size != dimensions:
        raise ValueError(f"vector has {array.size} dimensions, its space has {dimensions}")
    if not np.isfinite(array).all():
        raise ValueError("vector must not contain NaN or infinity")
    largest = np.abs(array).max()
    if largest == 0:
        raise ValueError("vector must not be zero")
    if not HALF.smallest_subnormal <= largest <= HALF.max:
        raise ValueError("vector is out of the range of half precision")
    return array


Processor: TypeAlias = Callable[[Any], Any]
"""What SQLAlchemy calls with each value that is read."""

JsonValue: TypeAlias = Annotated[Any, AfterValidator(check_json)]
JsonObject: TypeAlias = Annotated[dict[str, Any], AfterValidator(check_json)]
JsonArray: TypeAlias = Annotated[list[Any], AfterValidator(check_json)]
VectorList: TypeAlias = Annotated[list[float], BeforeValidator(lambda value: vector_array(value).tolist())]
"""Float32 numbers from the first, so that an entity equals what is read back of it."""


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


class Microseconds(GenericFunction[int]):
    """A stored time as whole microseconds since 1970: exact, so that the database can sum the time between two."""

    name = "microseconds"
    type = sa.BigInteger()
    inherit_cache = True


@compiles(Microseconds, "postgresql")
def _microseconds_on_postgresql(element: Microseconds, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(EXTRACT(epoch FROM {compiler.process(element.clauses, **options)}) * 1000000 AS BIGINT)"


@compiles(Microseconds, "sqlite")
def _microseconds_on_sqlite(element: Microseconds, compiler: SQLCompiler, **options: Any) -> str:
    # A time is stored as text, its microseconds in six digits after the second.
    time = compiler.process(element.clauses, **options)
    return f"(CAST(strftime('%s', {time}) AS INTEGER) * 1000000 + CAST(substr({time}, 21, 6) AS INTEGER))"


class ExactSum(GenericFunction[int]):
    """Two integers together, refused beyond 64 bits: there SQLite's own `+` makes them a float, and goes on."""

    name = "exact_sum"
    type = sa.BigInteger()
    inherit_cache = True


@compiles(ExactSum)
def _exact_sum(element: ExactSum, compiler: SQLCompiler, **options: Any) -> str:
    one, other = (compiler.process(part, **options) for part in element.clauses)
    return f"({one} + {other})"


@compiles(ExactSum, "sqlite")
def _exact_sum_on_sqlite(element: ExactSum, compiler: SQLCompiler, **options: Any) -> str:
    return f"exact_sum({compiler.process(element.clauses, **options)})"


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


def check_money(value: object) -> Decimal:
    """`value` with exactly ten decimals; more of them, or nine digits before the point, are refused, not rounded."""
    try:
        amount = Decimal(value)  # type: ignore[arg-type]  # anything else raises, and is refused below
        exact = amount.quantize(Decimal(1).scaleb(-MONEY_PLACES))
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError("not an amount of money") from None
    if exact != amount:
        raise ValueError(f"an amount has at most {MONEY_PLACES} decimals")
    if abs(exact) >= Decimal(10) ** (MONEY_DIGITS - MONEY_PLACES):
        raise ValueError("amount is too large")
    return exact


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
