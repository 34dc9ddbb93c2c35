"""Which values may be stored: those that every database gives back as they were; the others are refused here."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator

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


JsonValue: TypeAlias = Annotated[Any, AfterValidator(check_json)]
JsonObject: TypeAlias = Annotated[dict[str, Any], AfterValidator(check_json)]
JsonArray: TypeAlias = Annotated[list[Any], AfterValidator(check_json)]
VectorList: TypeAlias = Annotated[list[float], BeforeValidator(lambda value: vector_array(value).tolist())]
"""Float32 numbers from the first, so that an entity equals what is read back of it."""
