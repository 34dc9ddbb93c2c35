"""A message on its way in and out: validated and fingerprinted before it is stored, a plain record when it is read."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from json.encoder import encode_basestring_ascii
from operator import itemgetter
from typing import Any, NamedTuple, Required, TypedDict
from uuid import UUID

from database.errors import InvalidInputError
from models import Message, MessageStatus, Role, new_id
from models.values import JsonArray, JsonObject, VectorLike
from repositories.bulk import valid_rows
from repositories.ownership import table_of
from repositories.validation import Row, valid_row


class NewMessage(TypedDict, total=False):
    """What a caller says of a new message; `id` may be the client's own, `vector` is stored beside it."""

    id: UUID | None
    role: Required[Role | str]
    content: Required[str]
    name: str | None
    thinking: str | None
    tool_calls: Sequence[Mapping[str, object]] | None
    tool_call_id: str | None
    status: MessageStatus | str | None
    sent_at: datetime | None
    input_tokens: int | None
    output_tokens: int | None
    episode: int | None
    extra_data: Mapping[str, object] | None
    vector: VectorLike | None


NEW_FIELDS = frozenset(NewMessage.__annotations__)


class MessageRecord(NamedTuple):
    """A message as it is read: nothing to change by mistake. A tuple, since many are made, and that is the fastest."""

    id: UUID
    conversation_id: UUID
    position: int
    role: Role
    name: str | None
    content: str
    thinking: str | None
    tool_calls: JsonArray | None
    tool_call_id: str | None
    status: MessageStatus
    sent_at: datetime
    edited_at: datetime | None
    input_tokens: int | None
    output_tokens: int | None
    episode: int
    extra_data: JsonObject

    def __repr__(self) -> str:
        return f"MessageRecord(id={self.id!r}, position={self.position})"


RECORD_COLUMNS = [table_of(Message).c[name] for name in MessageRecord._fields]
"""What a record reads, and nothing more."""


_fields_of = itemgetter(*MessageRecord._fields)


def records_of(rows: Iterable[Sequence[Any]]) -> list[MessageRecord]:
    """Rows of RECORD_COLUMNS, of which there are many: without the checks of `_make`."""
    return [tuple.__new__(MessageRecord, row) for row in rows]


def record_of(row: Mapping[Any, Any]) -> MessageRecord:
    return MessageRecord._make(_fields_of(row))


def new_message(conversation_id: UUID, values: Mapping[str, object]) -> Row:
    """A valid message without its place yet; raises InvalidInputError by the field's name."""
    row = valid_row(Message, _given(conversation_id, values))
    row["fingerprint"] = fingerprint_of(row)
    return row


def new_messages(conversation_id: UUID, messages: Sequence[Mapping[str, object]]) -> list[Row]:
    """`new_message` for each, in order; the first that is bad is the one that is refused."""
    try:
        rows = valid_rows(Message, [_given(conversation_id, values) for values in messages])
    except InvalidInputError:
        return [new_message(conversation_id, values) for values in messages]
    for row in rows:
        row["fingerprint"] = fingerprint_of(row)
    return rows


def _given(conversation_id: UUID, values: Mapping[str, object]) -> Row:
    given: Row = {name: value for name, value in values.items() if value is not None}
    if not given.keys() <= NEW_FIELDS:
        raise InvalidInputError(min(given.keys() - NEW_FIELDS), "is nothing that a caller gives a message")
    given.pop("vector", None)
    if "id" not in given:
        given["id"] = new_id()
    given["conversation_id"] = conversation_id
    given["position"] = 1
    given["fingerprint"] = ""
    return given


def fingerprint_of(message: Mapping[str, Any]) -> str:
    """128 bits over what makes a message that message; an edit later does not change it."""
    calls = message["tool_calls"]
    parts = (
        f'"{message["conversation_id"].hex}"',
        f'"{message["role"].value}"',
        _json_text(message["name"]),
        _json_text(message["content"]),
        "null" if calls is None else json.dumps(calls, sort_keys=True),
        _json_text(message["tool_call_id"]),
    )
    return hashlib.blake2b(f"[{', '.join(parts)}]".encode(), digest_size=16).hexdigest()


def _json_text(value: str | None) -> str:
    """As json.dumps writes it, which makes an encoder for each call: several times slower."""
    return "null" if value is None else encode_basestring_ascii(value)


def estimate_tokens(message: MessageRecord) -> int:
    """A rough count where the application brings no tokenizer: four characters a token, as English text has."""
    return (len(message.content) + 3) // 4


def fitting(
    newest_first: Sequence[MessageRecord], max_tokens: int, count_tokens: Callable[[MessageRecord], int]
) -> list[MessageRecord]:
    """As many of the newest as fit together; it ends at the first that does not."""
    room, kept = max_tokens, []
    for message in newest_first:
        room -= count_tokens(message)
        if room < 0:
            break
        kept.append(message)
    return kept
