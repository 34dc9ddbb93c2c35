"""What an import file tells, as frozen records, and the ids under which it is stored."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid5

from pydantic import JsonValue

from models import Role

# Never changed: every id made from it is how a second import knows what the first one stored.
NAMESPACE = UUID("6c1f7f0e-3a54-5b0b-9b52-0d7f4f6a2e11")
SOURCE_ID = "source_id"


@dataclass(frozen=True, slots=True)
class ImportedMessage:
    """A message as the file tells it; None where the file says nothing."""

    id: UUID
    source_id: str
    role: Role
    content: str
    name: str | None = None
    sent_at: datetime | None = None
    episode: int | None = None
    tool_calls: list[JsonValue] | None = None
    tool_call_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    thinking: str | None = None
    extra_data: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportedMemory:
    """A fact that the file wants remembered with its conversation."""

    id: UUID
    source_id: str
    content: str
    memory_type: str = "episodic"
    importance: float = 0.5
    occurred_at: datetime | None = None
    first_message_id: UUID | None = None
    extra_data: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportedConversation:
    """A conversation with all that the file has of it; `line` is where it begins."""

    id: UUID
    source_id: str
    line: int
    title: str
    owner_id: str | None = None
    persona: str | None = None
    extra_data: dict[str, JsonValue] = field(default_factory=dict)
    messages: tuple[ImportedMessage, ...] = ()
    memories: tuple[ImportedMemory, ...] = ()


def stable_uuid(*parts: str | None) -> UUID:
    """The same parts give the same id on every machine."""
    return uuid5(NAMESPACE, json.dumps(parts))


def conversation_uuid(source_id: str, owner_id: str | None = None) -> UUID:
    """The id under which an imported conversation is stored; one file may serve two owners."""
    return _as_uuid(source_id) or stable_uuid("conversation", owner_id, source_id)


def message_uuid(conversation_id: UUID, source_id: str) -> UUID:
    """The id under which an imported message of that (stored) conversation is stored."""
    return _as_uuid(source_id) or uuid5(conversation_id, f"message {source_id}")


def memory_uuid(conversation_id: UUID, source_id: str) -> UUID:
    """The id under which an imported memory of that (stored) conversation is stored."""
    return _as_uuid(source_id) or uuid5(conversation_id, f"memory {source_id}")


def _as_uuid(source_id: str) -> UUID | None:
    """Only the written form with dashes counts: 32 hex digits may be any program's checksum."""
    try:
        return UUID(source_id) if len(source_id) == 36 and source_id.count("-") == 4 else None
    except ValueError:
        return None


def source_of(row_id: UUID, source_id: str) -> dict[str, JsonValue]:
    """What extra_data keeps of an external id: nothing where it is the row's own."""
    return {} if _as_uuid(source_id) == row_id else {SOURCE_ID: source_id}
