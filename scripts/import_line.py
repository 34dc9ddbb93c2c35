"""One line of an import file: parsed once, its fields read with their types or refused by name."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

from pydantic import JsonValue

from database.errors import InvalidInputError
from models import Role
from models.values import MAX_INTEGER, check_json, check_text

Value = TypeVar("Value")

LONGEST_NAME = 255
LONGEST_WORD = 50
LONGEST_CONTENT = 1_000_000


class MalformedLineError(InvalidInputError):
    """A line that does not fit the format: says which line and which field, never what it held."""

    def __init__(self, line: int, field: str, reason: str) -> None:
        super().__init__(field, f"line {line}: {reason}")
        self.line = line


def parse_line(number: int, raw: bytes) -> dict[str, JsonValue]:
    """Read one JSON object; a byte order mark before the first is passed over."""
    try:
        record: JsonValue = json.loads(
            raw.decode("utf-8-sig" if number == 1 else "utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError:
        reason = "is not UTF-8"
    except (ValueError, RecursionError):
        reason = "is not JSON"
    else:
        if isinstance(record, dict):
            return record
        reason = "is not a JSON object"
    # Raised outside the handler: the parser's error carries the text of the line.
    raise MalformedLineError(number, "line", reason)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("out of range")
    return value


@dataclass(frozen=True, slots=True)
class Line:
    """The fields of ours that a line has, and the number that an error names."""

    number: int
    values: Mapping[str, JsonValue]

    def refuse(self, field: str, reason: str) -> NoReturn:
        raise MalformedLineError(self.number, field, reason)

    def text(self, field: str, longest: int = LONGEST_NAME) -> str | None:
        value = self.values.get(field)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(field, "is not a string")
        if len(value) > longest:
            self.refuse(field, f"is longer than {longest} characters")
        self._storable(field, check_text, value)
        return value

    def _storable(self, field: str, check: Callable[[Value], object], value: Value) -> None:
        """The checks of the columns, made here so that the error can name the line."""
        try:
            check(value)
            return
        except ValueError as error:
            reason = str(error)
        self.refuse(field, reason)

    def source_id(self, field: str) -> str | None:
        """Another program's id: a string, or an integer that is then written as one."""
        value = self.values.get(field)
        text = str(value) if type(value) is int else self.text(field)
        if text is not None and not 1 <= len(text) <= LONGEST_NAME:
            self.refuse(field, f"is not 1 to {LONGEST_NAME} characters long")
        return text

    def required_id(self) -> str:
        source_id = self.source_id("id")
        if source_id is None:
            self.refuse("id", "is missing")
        return source_id

    def integer(self, field: str, least: int) -> int | None:
        value = self.values.get(field)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            self.refuse(field, "is not an integer")
        if not least <= value <= MAX_INTEGER:
            self.refuse(field, f"is not between {least} and {MAX_INTEGER}")
        return value

    def share(self, field: str) -> float | None:
        value = self.values.get(field)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            self.refuse(field, "is not a number from 0 to 1")
        return float(value)

    def instant(self, field: str) -> datetime | None:
        """A time in UTC. One without an offset could be any of a day's hours: it is refused."""
        text = self.text(field)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        self.refuse(field, "is not an ISO 8601 time with an offset")

    def role(self) -> Role:
        text = self.text("role")
        if text is None:
            return Role.USER
        if text not in {role.value for role in Role}:
            self.refuse("role", f"is not one of {', '.join(role.value for role in Role)}")
        return Role(text)

    def objects(self, field: str) -> list[JsonValue] | None:
        value = self.values.get(field)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(field, "is not an array of objects")
        self._storable(field, check_json, value)
        return value

    def extra_data(self, *additions: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The line's own extra_data with the additions; no key may be given twice."""
        value = self.values.get("extra_data", {})
        if not isinstance(value, dict):
            self.refuse("extra_data", "is not an object")
        merged = dict(value)
        for addition in additions:
            if merged.keys() & addition.keys():
                self.refuse("extra_data", "has a key that the line or the import gives too")
            merged.update(addition)
        self._storable("extra_data", check_json, merged)
        return merged
