"""Many rows validated at once: the rules of the model, without a call of Python for each value.

What passes here is what `valid_row` would have made. Where anything does not, `valid_row` says row by row what it is.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any

from pydantic_core import SchemaValidator, core_schema

from models import Base, utc_now
from models.values import check_integer, check_text
from repositories.validation import Row, valid_row

Schema = Any
"""A core schema of pydantic's, as a dict: there are a hundred kinds."""

STORABLE: Callable[..., object] = Base._storable.__func__  # type: ignore[attr-defined]  # pydantic leaves a method


class _Clock:
    """Rows that are made together are made at one time, where no other is given: one value, converted once."""

    time = utc_now()

    def __call__(self) -> datetime:
        return self.time


CLOCK = _Clock()


def valid_rows(model: type[Base], values: Sequence[Mapping[str, object]]) -> list[Row]:
    """`valid_row` for each, in order: the same rows, the same refusal of the first that is bad."""
    try:
        CLOCK.time = utc_now()
        rows: list[Row] = _rules(model).validate_python(values)
        # Every row has every field, in the order of the rules.
        for name, column in zip(rows[0], zip(*map(dict.values, rows), strict=True), strict=True) if rows else ():
            if not _is_storable(column):
                for row in rows:
                    row[name] = Base._storable(row[name])
    except ValueError:  # of ours, or pydantic's
        return [valid_row(model, row) for row in values]
    return rows


def _is_storable(values: Sequence[Any]) -> bool:
    """Whether `Base._storable` would leave each value of a column as it is; asked of all of them together."""
    for kind in set(map(type, values)):
        if not issubclass(kind, str | int | float | datetime) or issubclass(kind, bool | Enum):
            continue
        of_kind: list[Any] = [value for value in values if type(value) is kind]
        if kind is str:
            check_text("".join(of_kind))
        elif kind is int:
            check_integer(min(of_kind))
            check_integer(max(of_kind))
        elif kind is float:
            if not all(map(math.isfinite, of_kind)):
                return False
        elif kind is not datetime or not _are_plain(of_kind):
            return False
    return True


def _are_plain(times: Sequence[datetime]) -> bool:
    """In UTC, and not in the years where the first and the last moment are."""
    return all(time.tzinfo is UTC for time in times) and min(times).year > 1 and max(times).year < 9999


@cache
def _rules(model: type[Base]) -> SchemaValidator:
    """The model's own fields as those of a dict, less the one rule that `_storable` holds for whole columns."""
    schema: Schema = model.__pydantic_core_schema__
    assert schema["type"] == "model", "a rule over the whole row would be passed over"
    fields = schema["schema"]
    assert fields["type"] == "model-fields", "a rule over the whole row would be passed over"
    return SchemaValidator(
        core_schema.list_schema(
            core_schema.typed_dict_schema(
                {name: _field(field["schema"]) for name, field in fields["fields"].items()},
                extra_behavior="forbid",
                config=core_schema.CoreConfig(hide_input_in_errors=True),
            )
        )
    )


def _field(schema: Schema) -> core_schema.TypedDictField:
    return core_schema.typed_dict_field(_without_storable(schema), required=schema["type"] != "default")


def _without_storable(schema: Schema) -> Schema:
    if schema["type"] == "function-after" and getattr(schema["function"]["function"], "__func__", None) is STORABLE:
        return schema["schema"]
    if schema.get("default_factory") is utc_now:
        schema = {**schema, "default_factory": CLOCK}
    inner = schema.get("schema")
    return schema if inner is None else {**schema, "schema": _without_storable(inner)}
