"""A message on its way in and out: validated and fingerprinted before it is stored, a plain record when it is read."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Required, TypedDict
from uuid import UUID

from database.errors import InvalidInputError
from models import Message, MessageStatus, Role, new_id
from models.types import JsonArray, JsonObject, VectorLike
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


def record_of(row: Mapping[Any, Any]) -> MessageRecord:
    return MessageRecord._make([row[name] for name in MessageRecord._fields])


def new_message(conversation_id: UUID, values: Mapping[str, object]) -> Row:
    """A valid message without its place yet; raises InvalidInputError by the field's name."""
    given = {name: value for name, value in values.items() if value is not None}
    for name in sorted(given.keys() - NewMessage.__annotations__.keys()):
        raise InvalidInputError(name, "is nothing that a caller gives a message")
    given.pop("vector", None)
    given.setdefault("id", new_id())
    row = valid_row(Message, given | {"conversation_id": conversation_id, "position": 1, "fingerprint": ""})
    row["fingerprint"] = fingerprint_of(row)
    return row


def fingerprint_of(message: Mapping[str, Any]) -> str:
    """128 bits over what makes a message that message; an edit later does not change it."""
    parts = [
        message["conversation_id"].hex,
        message["role"].value,
        message["name"],
        message["content"],
        message["tool_calls"],
        message["tool_call_id"],
    ]
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


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
