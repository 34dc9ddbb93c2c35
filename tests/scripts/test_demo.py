"""The demo: what it tells has happened, and it may be run again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from database import Database
from repositories import UnitOfWork
from scripts import demo
from scripts.demonstration.account import account_of
from scripts.demonstration.census import count_orphans, count_pointing_at, count_rows
from scripts.demonstration.story import Story, tell
from scripts.import_records import conversation_uuid, message_uuid
from scripts.sample import CONVERSATIONS, load_sample
from tests.factories import ConversationFactory, MemoryFactory, MessageFactory, RunFactory
from tests.scripts.conftest import Command

TABLES = 15


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo keeps its SQLite file in this test; DATABASE_URL names what it must not touch."""
    monkeypatch.setattr(demo, "FOLDER", tmp_path / "data")
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/production")
    monkeypatch.setenv("DATABASE_READ_URL", "postgresql://127.0.0.1:1/production")
    return tmp_path / "data"


def printed(story: Story, *, terminal: bool = False) -> str:
    console = Console(width=100, force_terminal=terminal, color_system="standard" if terminal else None)
    with console.capture() as capture:
        console.print(account_of(story, "somewhere", None))
    return capture.get()


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


async def test_it_shows_every_part_and_leaves_nothing_of_what_it_deletes(fresh_database: Database) -> None:
    story = await tell(fresh_database, None)

    sample = load_sample()
    assert story.talks.conversations == story.talks.new == 4
    assert {persona.name for persona in story.seeded.personas} == {persona.name for persona in sample.personas}
    assert [line.position for line in story.history] == list(
        range(story.history[0].position, story.talks.first[0].messages + 1)
    )
    assert (story.state.versions, story.state.refused) == ((1, 2), True)
    for answer, question in zip(story.answers, sample.questions, strict=True):
        assert answer.question == question.question
        assert [hit.expected for hit in answer.hits] == [True, False]
        assert answer.hits[0].score > answer.hits[1].score
    assert (story.run.status, story.run.calls, story.run.errors) == ("succeeded", 2, 1)
    assert story.run.cost_usd > 0
    deletion = story.deletion
    assert deletion.before.keys() == deletion.after.keys()
    assert len(deletion.before) == TABLES
    gone = {table for table, before in deletion.before.items() if deletion.after[table] < before}
    assert gone == {
        "conversations",
        "messages",
        "message_embeddings",
        "conversation_memory",
        "memory_embeddings",
        "conversation_states",
    }
    assert (deletion.pointing[0] > 0, deletion.pointing[1], deletion.orphans, deletion.run_kept) == (True, 0, 0, True)
    async with UnitOfWork(fresh_database, owner_id=sample.owner_id) as uow:
        assert await count_rows(uow) == deletion.after
        assert len(await uow.conversations.page()) == 3


def the_account_is_whole_and_plain(story: Story) -> None:
    account = printed(story)

    assert "\x1b" not in account
    for number, heading in enumerate(
        ("The schema", "Personas", "Conversations", "History", "State", "Recall", "Run", "Deletion"), start=1
    ):
        assert f"{number}  {heading}" in account
    assert account.count("<- the answer") == len(story.answers)
    assert "Rows that name the conversation: 27 before, 0 now." in account
    assert "made up" in account
    assert "\x1b" in printed(story, terminal=True)


async def test_again_it_finds_everything_under_the_same_ids(fresh_database: Database) -> None:
    first = await tell(fresh_database, None)
    again = await tell(fresh_database, None)

    assert not any(persona.new for persona in again.seeded.personas)
    assert [talk.id for talk in again.talks.first] == [talk.id for talk in first.talks.first]
    # What was deleted is stored again, and nothing else.
    assert [talk.change for talk in again.talks.first] == ["new", "unchanged", "unchanged", "unchanged"]
    assert again.answers == first.answers
    assert again.state == first.state
    assert again.deletion == first.deletion
    assert replace(again.run, seconds=0) == replace(first.run, seconds=0)
    the_account_is_whole_and_plain(again)


async def test_a_file_without_memories_or_questions_of_the_sample(fresh_database: Database, tmp_path: Path) -> None:
    talk = conversation_uuid("chat")
    said = ["Good morning.", "Who feeds the red cat?", "Per feeds the red cat.", "It rained."]
    lines: list[dict[str, Any]] = [{"type": "conversation", "id": "chat", "title": "Cats"}]
    lines += [{"type": "message", "id": str(number), "content": content} for number, content in enumerate(said)]
    lines.append({"type": "message", "id": "tool", "role": "assistant", "tool_calls": [{"id": "1"}]})
    file = tmp_path / "talks.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))

    story = await tell(fresh_database, file)

    assert (story.talks.conversations, story.talks.messages, story.talks.memories) == (1, 5, 5)
    [answer] = story.answers
    assert answer.question == "Who feeds the red cat?"
    # Not the question itself, which is remembered too.
    assert answer.hits[0].content == "Per feeds the red cat."
    assert answer.question not in {hit.content for hit in answer.hits}
    assert story.deletion.title == "Cats"
    assert story.deletion.after["conversations"] == 0
    async with UnitOfWork(fresh_database) as uow:
        assert await uow.messages.get_or_none(message_uuid(talk, "0")) is None
    assert "“Cats”" in printed(story)


async def test_the_census_counts_what_points_and_what_points_nowhere(fresh_database: Database, backend: str) -> None:
    async with UnitOfWork(fresh_database) as uow:
        talk = await ConversationFactory.create(uow.session)
        await ConversationFactory.create(uow.session)
        await MessageFactory.create(uow.session, conversation_id=talk.id)
        await MemoryFactory.create(uow.session, conversation_id=talk.id)
        await RunFactory.create(uow.session, conversation_id=talk.id)
        rows = await count_rows(uow)
        assert {name: number for name, number in rows.items() if number} == {
            "conversations": 2,
            "messages": 1,
            "conversation_memory": 1,
            "runs": 1,
        }
        assert await count_pointing_at(uow, talk.id) == 4
        assert await count_orphans(uow) == 0
        if backend == "postgresql":
            await uow.execute("ALTER TABLE messages DROP CONSTRAINT fk_messages_conversation_id_conversations")
            await uow.execute("DELETE FROM conversations WHERE id = :id", {"id": talk.id})
            assert await count_orphans(uow) == 1


async def test_the_command_works_in_a_file_of_its_own(folder: Path, command: Command) -> None:
    first = await command("demo")
    again = await command("demo", "--json")

    assert (first.code, again.code) == (0, 0), first.err
    assert files_in(folder) == ["demo.db"]
    assert "8  Deletion" in first.out
    assert first.err == again.err == ""
    assert again.data.keys() == set(Story.__dataclass_fields__)
    assert again.data["migrated"] is False
    assert again.data["deletion"]["pointing"][1] == 0


async def test_the_command_works_on_a_postgresql_from_the_wheel(folder: Path, command: Command) -> None:
    ran = await command("demo", CONVERSATIONS, "--postgres", "--json")

    assert ran.code == 0, ran.err
    assert ran.data["version"].startswith("postgresql 18")
    assert ran.data["talks"]["conversations"] == 4
    assert files_in(folder) == []


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "file: holds no conversation in which anything is said"),
        ('{"type": "conversation", "id": "x"}\n', "file: holds no conversation in which anything is said"),
        ('{"type": "message", "id": "x"}\n', "type: line 1: comes before any conversation"),
        ("hello\n", "line: line 1: is not JSON"),
    ],
)
async def test_a_file_that_is_none_is_a_sentence(
    folder: Path, command: Command, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "talks.jsonl"
    file.write_text(text)

    ran = await command("demo", file)

    assert (ran.code, ran.out) == (1, "")
    assert words in ran.err
