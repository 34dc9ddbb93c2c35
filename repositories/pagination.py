"""Keyset pages: where the last page ended, not how many rows to pass over."""

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from database.errors import InvalidCursorError
from models.values import check_time

RowT = TypeVar("RowT")

Key = UUID | datetime | int | str


@dataclass(frozen=True, slots=True)
class Page(Generic[RowT]):
    """Rows in the order of the page; `next` is the cursor of the rows after them, None at the end."""

    rows: Sequence[RowT]
    next: str | None

    def __iter__(self) -> Iterator[RowT]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def encode_cursor(order: str, keys: Sequence[Key]) -> str:
    """Where a page of this order ended. It grants nothing: whose rows are read is the session's to say."""
    plain = [
        key.isoformat() if isinstance(key, datetime) else key if isinstance(key, int) else str(key) for key in keys
    ]
    return base64.urlsafe_b64encode(json.dumps([order, *plain]).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, order: str, kinds: Sequence[type]) -> tuple[Key, ...]:
    """The keys again; raises InvalidCursorError for what `encode_cursor` did not make for this order."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found, *plain = json.loads(base64.b64decode(padded, altchars="-_", validate=True))
        if found != order or len(plain) != len(kinds):
            raise InvalidCursorError
        return tuple(_key(value, kind) for value, kind in zip(plain, kinds, strict=True))
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError):
        raise InvalidCursorError from None


def _key(value: object, kind: type) -> Key:
    if kind is UUID:
        return UUID(str(value))
    if kind is datetime:
        return check_time(datetime.fromisoformat(str(value)))
    if kind is int and isinstance(value, int) and abs(value) < 2**63:
        return value
    if kind is str and isinstance(value, str) and "\0" not in value:
        return value
    raise InvalidCursorError
