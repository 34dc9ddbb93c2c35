"""Conversations as JSON lines (docs/import-format.md), read one conversation at a time."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import JsonValue

from scripts.import_line import LONGEST_CONTENT, LONGEST_WORD, Line, MalformedLineError, parse_line
from scripts.import_map import FIELDS, FieldMap
from scripts.import_records import (
    ImportedConversation,
    ImportedMemory,
    ImportedMessage,
    conversation_uuid,
    memory_uuid,
    message_uuid,
    source_of,
)


@dataclass(slots=True)
class _Draft:
    """The conversation that is being read."""

    id: UUID
    source_id: str
    line: int
    title: str
    owner_id: str | None
    persona: str | None
    extra_data: dict[str, JsonValue]
    messages: dict[str, ImportedMessage] = field(default_factory=dict)
    memories: dict[str, ImportedMemory] = field(default_factory=dict)

    def finished(self) -> ImportedConversation:
        return ImportedConversation(
            self.id,
            self.source_id,
            self.line,
            self.title,
            self.owner_id,
            self.persona,
            self.extra_data,
            tuple(self.messages.values()),
            tuple(self.memories.values()),
        )


class ConversationReader:
    """Iterate over it for the conversations of a file; only one of them is held at a time.

    `lines` are the file's, in bytes (`path.open("rb")`). `passed_over` counts the lines of types
    that are not ours, `bytes_read` serves a progress bar. A line that does not fit raises
    MalformedLineError; what was yielded before it is whole.
    """

    def __init__(self, lines: Iterable[bytes], mapping: FieldMap | None = None) -> None:
        self._lines = lines
        self._mapping = mapping or FieldMap()
        self.passed_over: Counter[str] = Counter()
        self.bytes_read = 0

    def __iter__(self) -> Iterator[ImportedConversation]:
        draft: _Draft | None = None
        seen: set[UUID] = set()
        for number, raw in enumerate(self._lines, start=1):
            self.bytes_read += len(raw)
            if not raw.strip():
                continue
            record = parse_line(number, raw)
            kind = record.get("type")
            if not isinstance(kind, str):
                raise MalformedLineError(number, "type", "is missing or not a string")
            if kind not in FIELDS:
                self.passed_over[kind[:LONGEST_WORD]] += 1
                continue
            ours, rest = self._mapping.split(kind, record)
            line = Line(number, ours)
            if kind == "conversation":
                if draft is not None:
                    yield draft.finished()
                draft = _begin(line, rest)
                if draft.id in seen:
                    line.refuse("id", "is that of an earlier conversation of this file")
                seen.add(draft.id)
            elif draft is None:
                line.refuse("type", "comes before any conversation")
            elif kind == "message":
                _add_message(draft, line, rest)
            else:
                _add_memory(draft, line, rest)
        if draft is not None:
            yield draft.finished()


def _begin(line: Line, rest: Mapping[str, JsonValue]) -> _Draft:
    source_id, owner_id = line.required_id(), line.text("owner_id")
    if owner_id == "":
        line.refuse("owner_id", "is empty")
    row_id = conversation_uuid(source_id, owner_id)
    return _Draft(
        id=row_id,
        source_id=source_id,
        line=line.number,
        title=line.text("title") or source_id,
        owner_id=owner_id,
        persona=line.text("persona"),
        extra_data=line.extra_data(rest, source_of(row_id, source_id)),
    )


def _add_message(draft: _Draft, line: Line, rest: Mapping[str, JsonValue]) -> None:
    source_id = line.required_id()
    if source_id in draft.messages:
        line.refuse("id", "is that of an earlier message of this conversation")
    row_id = message_uuid(draft.id, source_id)
    content, tool_calls = line.text("content", LONGEST_CONTENT), line.objects("tool_calls")
    if content is None and tool_calls is None:
        line.refuse("content", "is missing, and there are no tool_calls instead")
    draft.messages[source_id] = ImportedMessage(
        id=row_id,
        source_id=source_id,
        role=line.role(),
        content=content or "",
        name=line.text("name"),
        sent_at=line.instant("sent_at"),
        episode=line.integer("episode", least=1),
        tool_calls=tool_calls,
        tool_call_id=line.text("tool_call_id"),
        input_tokens=line.integer("input_tokens", least=0),
        output_tokens=line.integer("output_tokens", least=0),
        thinking=line.text("thinking", LONGEST_CONTENT),
        extra_data=line.extra_data(rest, source_of(row_id, source_id)),
    )


def _add_memory(draft: _Draft, line: Line, rest: Mapping[str, JsonValue]) -> None:
    source_id, content = line.required_id(), line.text("content", LONGEST_CONTENT)
    if source_id in draft.memories:
        line.refuse("id", "is that of an earlier memory of this conversation")
    if not content:
        line.refuse("content", "is missing")
    row_id = memory_uuid(draft.id, source_id)
    first_id = line.source_id("first_message_id")
    first = draft.messages.get(first_id) if first_id is not None else None
    if first_id is not None and first is None:
        line.refuse("first_message_id", "is not that of an earlier message of this conversation")
    importance = line.share("importance")
    draft.memories[source_id] = ImportedMemory(
        id=row_id,
        source_id=source_id,
        content=content,
        memory_type=line.text("memory_type", LONGEST_WORD) or "episodic",
        importance=0.5 if importance is None else importance,
        occurred_at=line.instant("occurred_at") or (first.sent_at if first else None),
        first_message_id=first.id if first else None,
        extra_data=line.extra_data(rest, source_of(row_id, source_id)),
    )
