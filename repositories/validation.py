"""Bad input, refused in our own words before a statement is built: the same on both databases."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from database.errors import DimensionError, InvalidInputError
from models import Base, EmbeddingSpace
from models.values import MAX_INTEGER, VectorLike, check_text, check_time, vector_array

Row = dict[str, Any]
"""A new row before it is stored: the value of each column by its name."""

MAX_LIMIT = 1_000
"""The most rows of one page."""


MAX_SECONDS = 3_600
"""The longest that a caller may let a call take."""


class _Holder:
    """Takes what a validator makes. A table's own object would validate each value again as it is set."""

    __slots__ = ("__dict__", "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")

    def __init__(self) -> None:
        self.__pydantic_fields_set__: set[str] = set()
        self.__pydantic_extra__: None = None


def valid_row(model: type[Base], values: Mapping[str, object]) -> Row:
    """A whole new row; a field that is missing, unknown or bad is refused by its name."""
    holder = _Holder()
    try:
        model.__pydantic_validator__.validate_python(dict(values), self_instance=holder)
    except ValidationError as error:
        raise _refusal(error) from None
    return holder.__dict__


def valid_changes(model: type[Base], changes: Mapping[str, object], fixed: Collection[str] = ()) -> dict[str, object]:
    """The named fields as their columns take them. `fixed` are fields that no caller changes."""
    holder = _Holder()
    for name, value in changes.items():
        if name not in model.model_fields:
            raise InvalidInputError(name, "is not a column")
        if name in fixed:
            raise InvalidInputError(name, "cannot be changed")
        try:
            model.__pydantic_validator__.validate_assignment(holder, name, value)
        except ValidationError as error:
            raise _refusal(error) from None
    return holder.__dict__


def valid_id(value: object, field: str = "id") -> UUID:
    """Drivers differ in what they take for a UUID; all of them take this."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError:
        raise InvalidInputError(field, "is not a UUID") from None


def valid_limit(value: object, field: str = "limit", most: int = MAX_LIMIT) -> int:
    """SQLite takes a negative LIMIT for none at all."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise InvalidInputError(field, f"must be 1 to {most}")
    return value


def valid_position(value: object, field: str) -> int:
    return valid_limit(value, field, MAX_INTEGER)


def valid_text(value: str, field: str) -> str:
    """What a text column would take: PostgreSQL compares no other."""
    try:
        return check_text(value)
    except ValueError as error:
        raise InvalidInputError(field, str(error)) from None


def valid_seconds(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_SECONDS:
        raise InvalidInputError(field, f"must be more than 0 seconds and at most {MAX_SECONDS}")
    return float(value)


def valid_time(value: object, field: str) -> datetime:
    """The same instant in UTC; SQLite would compare a naive one as text."""
    if not isinstance(value, datetime):
        raise InvalidInputError(field, "is not a time")
    try:
        return check_time(value)
    except ValueError as error:
        raise InvalidInputError(field, str(error)) from None


def valid_vector(value: VectorLike, space: EmbeddingSpace, field: str = "vector") -> NDArray[np.float32]:
    """float32, of the width of its space; raises DimensionError for another width."""
    try:
        array = vector_array(value)
    except ValueError as error:
        raise InvalidInputError(field, str(error)) from None
    if array.size != space.dimensions:
        raise DimensionError(space.dimensions, array.size, field)
    return array


def _refusal(error: ValidationError) -> InvalidInputError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = str(first["loc"][0]) if first["loc"] else "row"
    return InvalidInputError(field, str(first["msg"]).removeprefix("Value error, "))
