"""The import format: what a line becomes, which ids it is given, and what is refused and how."""

import dataclasses
import json
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
import regex

from database.errors import InvalidInputError
from models import Role
from scripts.import_format import ConversationReader
from scripts.import_line import MalformedLineError
from scripts.import_map import FIELDS, FieldMap
from scripts.import_records import (
    ImportedConversation,
    conversation_uuid,
    memory_uuid,
    message_uuid,
)

PAGE = Path(__file__).parents[2] / "docs" / "import-format.md"
SECRET = "sentinel-7c1e"
TALK = {"type": "conversation", "id": "talk"}
WORD = {"type": "message", "id": "1", "content": "Hello"}


def encoded(*records: object) -> list[bytes]:
    return [json.dumps(record).encode() + b"\n" for record in records]


def read(*records: object, mapping: str = "") -> list[ImportedConversation]:
    return list(ConversationReader(encoded(*records), FieldMap.parse([mapping])))


def test_a_conversation_with_all_its_fields() -> None:
    calls = [{"id": "c1", "function": {"name": "weather"}}]
    message = {
        "type": "message",
        "id": 7,
        "role": "assistant",
        "name": "Odile",
        "content": "Rain.",
        "sent_at": "2026-03-01T15:40:12+01:00",
        "episode": 2,
        "tool_calls": calls,
        "tool_call_id": "c0",
        "input_tokens": 0,
        "output_tokens": 3,
        "thinking": "Look outside.",
        "extra_data": {"mood": "calm"},
        "device": "phone",
    }
    (talk,) = read({**TALK, "title": "Weather", "owner_id": "ada", "persona": "Odile", "topic": {"a": 1}}, message)
    assert (talk.title, talk.owner_id, talk.persona, talk.line) == ("Weather", "ada", "Odile", 1)
    assert talk.extra_data == {"topic": {"a": 1}, "source_id": "talk"}
    (stored,) = talk.messages
    assert stored.source_id == "7"
    assert (stored.role, stored.name, stored.content) == (Role.ASSISTANT, "Odile", "Rain.")
    assert stored.sent_at == datetime(2026, 3, 1, 14, 40, 12, tzinfo=UTC)
    assert (stored.episode, stored.input_tokens, stored.output_tokens) == (2, 0, 3)
    assert (stored.tool_calls, stored.tool_call_id) == (calls, "c0")
    assert stored.thinking == "Look outside."
    assert stored.extra_data == {"mood": "calm", "device": "phone", "source_id": "7"}


def test_what_is_left_out_has_its_default_and_null_is_left_out() -> None:
    (talk,) = read(TALK, {**WORD, "name": None, "sent_at": None, "role": None})
    assert (talk.title, talk.owner_id, talk.persona) == ("talk", None, None)
    (stored,) = talk.messages
    assert (stored.role, stored.name, stored.sent_at, stored.episode) == (Role.USER, None, None, None)


def test_only_a_message_with_tool_calls_may_go_without_content() -> None:
    (talk,) = read(TALK, {"type": "message", "id": "1", "content": None, "tool_calls": [{}]})
    assert talk.messages[0].content == ""
    (talk,) = read(TALK, {**WORD, "content": ""})
    assert talk.messages[0].content == ""


def test_a_memory_points_at_its_first_message_and_takes_its_time() -> None:
    (talk,) = read(
        TALK,
        {**WORD, "sent_at": "2026-03-01T10:00:00Z"},
        {"type": "memory", "id": "m", "content": "A fact", "first_message_id": "1"},
        {
            "type": "memory",
            "id": "n",
            "content": "Another",
            "memory_type": "mood",
            "importance": 1,
            "occurred_at": "2026-02-01T10:00:00Z",
        },
    )
    first, second = talk.memories
    assert first.first_message_id == talk.messages[0].id
    assert first.occurred_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert (first.memory_type, first.importance) == ("episodic", 0.5)
    assert (second.memory_type, second.importance, second.first_message_id) == ("mood", 1.0, None)
    assert second.occurred_at == datetime(2026, 2, 1, 10, tzinfo=UTC)


def test_other_types_empty_lines_and_a_byte_order_mark_are_passed_over() -> None:
    lines = encoded(TALK, {"type": "qa", "id": "q"}, WORD, {"type": "qa"}, {"type": "note"})
    lines[0] = b"\xef\xbb\xbf" + lines[0]
    lines.insert(1, b"  \r\n")
    reader = ConversationReader(lines)
    (talk,) = reader
    assert len(talk.messages) == 1
    assert reader.passed_over == {"qa": 2, "note": 1}
    assert reader.bytes_read == sum(map(len, lines))


def test_one_conversation_is_read_at_a_time() -> None:
    taken: list[int] = []

    def lines() -> Iterator[bytes]:
        for number, line in enumerate(encoded(TALK, WORD, {**TALK, "id": "next"}, WORD)):
            taken.append(number)
            yield line

    talks = iter(ConversationReader(lines()))
    assert next(talks).source_id == "talk"
    assert taken == [0, 1, 2]
    assert [talk.source_id for talk in talks] == ["next"]


def test_what_is_read_cannot_be_changed() -> None:
    (talk,) = read(TALK, WORD)
    with pytest.raises(dataclasses.FrozenInstanceError):
        talk.messages[0].content = "other"  # type: ignore[misc]  # the point of the test


# Ids


def test_ids_are_the_same_at_every_import_and_on_every_machine() -> None:
    (talk,) = read(TALK, WORD)
    assert talk.id == conversation_uuid("talk") == UUID("5823780d-b34a-521c-849a-3d62d2c542ad")
    assert talk.messages[0].id == message_uuid(talk.id, "1") == uuid5(talk.id, "message 1")
    assert memory_uuid(talk.id, "1") == uuid5(talk.id, "memory 1")


def test_ids_differ_by_conversation_owner_and_kind() -> None:
    mine, other = read({**TALK, "owner_id": "ada"}, WORD, {**TALK, "owner_id": "bob"}, WORD)
    ids = {mine.id, other.id, mine.messages[0].id, other.messages[0].id, memory_uuid(mine.id, "1")}
    assert len(ids) == 5


def test_a_uuid_is_kept_as_it_is() -> None:
    talk_id = "0198c0de-0000-7000-8000-00000000000a"
    word_id = "0198C0DE-0000-7000-8000-00000000000B"
    (talk,) = read({**TALK, "id": talk_id}, {**WORD, "id": word_id}, {**WORD, "id": "ab" * 16})
    assert talk.id == UUID(talk_id)
    assert talk.extra_data == {}
    assert talk.messages[0].id == UUID(word_id)
    assert talk.messages[1].id == message_uuid(talk.id, "ab" * 16) != UUID("ab" * 16)
    assert talk.messages[1].extra_data == {"source_id": "ab" * 16}


# The page that documents it


def test_the_documented_example_is_read_and_every_field_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    example = page.split("```json\n")[1].split("```")[0]
    (talk,) = ConversationReader(line.encode() for line in example.splitlines())
    assert (len(talk.messages), len(talk.memories)) == (2, 1)
    for kind, fields in FIELDS.items():
        section = page.split(f"\n## `{kind}`\n")[1].split("\n## ")[0]
        first_cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
        assert tuple(regex.findall(r"`(\w+)`", " ".join(first_cells))) == fields


# Another program's fields


def test_a_mapping_renames_fields_and_keeps_the_rest() -> None:
    theirs = {
        "type": "message",
        "id": "D1:1",
        "session": 1,
        "at": "2026-03-01T10:00:00Z",
        "speaker": "Tova",
        "text": "Hei",
        "picture": "a boat",
        "content": "not ours here",
    }
    (talk,) = read(
        {**TALK, "speakers": ["Tova", "Jonas"]},
        theirs,
        mapping="name=speaker, sent_at=at,episode=session,content=text,role=:assistant",
    )
    (stored,) = talk.messages
    assert talk.extra_data["speakers"] == ["Tova", "Jonas"]
    assert (stored.name, stored.content, stored.episode) == ("Tova", "Hei", 1)
    assert stored.role is Role.ASSISTANT
    assert stored.extra_data == {
        "picture": "a boat",
        "content": "not ours here",
        "source_id": "D1:1",
    }


def test_a_mapping_may_be_repeated_and_one_field_of_theirs_serve_twice() -> None:
    mapping = FieldMap.parse(["id=key", "title=key,owner_id=:a:b"])
    (talk,) = ConversationReader(encoded({"type": "conversation", "key": "K"}), mapping)
    assert (talk.source_id, talk.title, talk.owner_id) == ("K", "K", "a:b")


@pytest.mark.parametrize("text", ["name", "name=", "=speaker", "speaker=name", "name=:", "name=a,name=b", "episode=:1"])
def test_a_mapping_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        FieldMap.parse([text])
    assert caught.value.field == "map"


# Refusals


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": True}, "id"),
        ({"id": 10**300}, "id"),
        ({"id": "x" * 256}, "id"),
        ({"content": None}, "content"),
        ({"content": [SECRET]}, "content"),
        ({"content": f"{SECRET}\x00"}, "content"),
        ({"content": f"{SECRET}\ud800"}, "content"),
        ({"content": "x" * 1_000_001}, "content"),
        ({"name": "x" * 256}, "name"),
        ({"role": SECRET}, "role"),
        ({"sent_at": "2026-03-01T10:00:00"}, "sent_at"),
        ({"sent_at": SECRET}, "sent_at"),
        ({"sent_at": 1_767_225_600}, "sent_at"),
        ({"sent_at": "0001-01-01T00:00:00+10:00"}, "sent_at"),
        ({"episode": 0}, "episode"),
        ({"episode": 1.0}, "episode"),
        ({"episode": True}, "episode"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"output_tokens": 2**63}, "output_tokens"),
        ({"tool_calls": {"name": SECRET}}, "tool_calls"),
        ({"tool_calls": [SECRET]}, "tool_calls"),
        ({"tool_calls": [{"name": f"{SECRET}\x00"}]}, "tool_calls"),
        ({"extra_data": [SECRET]}, "extra_data"),
        ({"extra_data": {"a": f"{SECRET}\x00"}}, "extra_data"),
        ({"extra_data": {"mood": SECRET}, "mood": SECRET}, "extra_data"),
        ({"source_id": SECRET}, "extra_data"),
        ({"type": None}, "type"),
    ],
)
def test_a_wrong_field_is_refused_by_line_and_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedLineError) as caught:
        read(TALK, WORD, {**WORD, "id": "2", **change})
    assert (caught.value.line, caught.value.field) == (3, field)
    assert str(caught.value).startswith(f"{field}: line 3: ")
    assert SECRET not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("records", "field"),
    [
        ([WORD], "type"),
        ([{**TALK, "owner_id": ""}], "owner_id"),
        ([TALK, WORD, WORD], "id"),
        ([TALK, WORD, TALK], "id"),
        ([TALK, {"type": "memory", "id": "m"}], "content"),
        ([TALK, {"type": "memory", "id": "m", "content": "a", "importance": 1.1}], "importance"),
        ([TALK, {"type": "memory", "id": "m", "content": "a", "importance": "1"}], "importance"),
        ([TALK, {"type": "memory", "id": "m", "content": "a", "first_message_id": "1"}], "first_message_id"),
        ([TALK, *[{"type": "memory", "id": "m", "content": "a"}] * 2], "id"),
    ],
)
def test_lines_that_do_not_fit_together_are_refused(records: list[object], field: str) -> None:
    with pytest.raises(MalformedLineError) as caught:
        read(*records)
    assert (caught.value.line, caught.value.field) == (len(records), field)


@pytest.mark.parametrize(
    "raw",
    [
        SECRET.encode(),
        b'["sentinel-7c1e"]',
        b'{"type": "sentinel-7c1e\xff"}',
        b'{"type": "qa", "n": NaN}',
        b'{"type": "qa", "n": 1e999}',
        b"[" * 100_000,
        b'{"type": "qa"} {"type": "sentinel-7c1e"}',
    ],
)
def test_a_line_that_is_no_json_object_is_refused_unshown(raw: bytes) -> None:
    reader = iter(ConversationReader([*encoded(TALK, {**TALK, "id": "next"}), raw]))
    assert next(reader).source_id == "talk"
    with pytest.raises(MalformedLineError) as caught:
        next(reader)
    assert (caught.value.line, caught.value.field) == (3, "line")
    assert SECRET not in "".join(traceback.format_exception(caught.value, chain=True))
