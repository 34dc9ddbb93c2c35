"""The import: whole conversations, known again the next time."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from database import Database
from repositories import UnitOfWork
from scripts.import_format import ConversationReader
from scripts.import_records import conversation_uuid, message_uuid
from scripts.importer import Change, store
from scripts.sample import CONVERSATIONS
from scripts.seed import seed
from tests.scripts.conftest import Command

ROOT = Path(__file__).resolve().parent.parent.parent
CHAT = conversation_uuid("chat")

Line = Mapping[str, object]


def talk(id: str = "chat", **fields: object) -> Line:
    return {"type": "conversation", "id": id, **fields}


def message(id: str, content: str = "Is there soup?", **fields: object) -> Line:
    return {"type": "message", "id": id, "content": content, **fields}


def memory(id: str, **fields: object) -> Line:
    return {"type": "memory", "id": id, "content": f"fact {id}", **fields}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "talks.jsonl"


def write(file: Path, *lines: Line) -> None:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


async def contents(database: Database) -> list[str]:
    async with UnitOfWork(database) as uow:
        return [record.content async for record in uow.messages.stream(CHAT)]


async def facts(database: Database) -> set[str]:
    async with UnitOfWork(database) as uow:
        return {record.content async for record in uow.memories.stream(conversation_id=CHAT)}


async def test_the_sample_is_stored_whole_and_known_again(
    fresh_url: str, fresh_database: Database, command: Command
) -> None:
    seeded = await seed(fresh_database)

    first = await command("import", CONVERSATIONS, "--database-url", fresh_url, "--json")
    again = await command("import", CONVERSATIONS, "--database-url", fresh_url, "--json")

    with CONVERSATIONS.open("rb") as lines:
        talks = list(ConversationReader(lines))
    told = sum(len(talk.messages) for talk in talks)
    facts = sum(len(talk.memories) for talk in talks)
    nothing = {
        "message_vectors": 0,
        "memory_vectors": 0,
        "unused_vectors": 0,
        "unknown_personas": [],
        "passed_over": {},
    }
    counts = {"new": len(talks), "extended": 0, "unchanged": 0, "messages": told, "memories": facts}
    assert (first.code, first.data) == (0, {"files": [{"file": str(CONVERSATIONS)} | counts | nothing]})
    counts = {"new": 0, "extended": 0, "unchanged": len(talks), "messages": 0, "memories": 0}
    assert (again.code, again.data) == (0, {"files": [{"file": str(CONVERSATIONS)} | counts | nothing]})
    personas = {persona.name: persona.id for persona in seeded.personas}
    async with UnitOfWork(fresh_database, owner_id=seeded.owner_id) as uow:
        for given in talks:
            assert given.persona is not None
            row = await uow.conversations.get(given.id)
            assert (row.title, row.persona_id) == (given.title, personas[given.persona])
            assert row.extra_data == given.extra_data
            records = [record async for record in uow.messages.stream(given.id)]
            for record, line in zip(records, given.messages, strict=True):
                assert (record.id, record.role, record.name) == (line.id, line.role, line.name)
                assert (record.content, record.sent_at) == (line.content, line.sent_at)
                assert (record.tool_calls, record.tool_call_id) == (line.tool_calls, line.tool_call_id)
                assert (record.input_tokens, record.output_tokens) == (line.input_tokens, line.output_tokens)
            remembered = {memory.id: memory async for memory in uow.memories.stream(conversation_id=given.id)}
            for fact in given.memories:
                stored = remembered.pop(fact.id)
                assert (stored.content, stored.memory_type, stored.importance) == (
                    fact.content,
                    fact.memory_type,
                    fact.importance,
                )
                assert (stored.occurred_at, stored.first_message_id) == (fact.occurred_at, fact.first_message_id)
                assert stored.persona_id == row.persona_id
            assert not remembered


async def test_another_programs_fields_are_mapped_and_the_rest_is_kept(
    fresh_url: str, fresh_database: Database, command: Command, file: Path
) -> None:
    write(
        file,
        talk(speakers=["Ada", "Bob"]),
        {"type": "message", "id": "D1:1", "session": 1, "at": "2026-03-01T10:00:00Z", "speaker": "Ada", "text": "Hi."},
        {
            "type": "message",
            "id": "D2:1",
            "session": 2,
            "at": "2026-03-01T10:00:00Z",
            "speaker": "Bob",
            "text": "Look!",
            "image_caption": "a pot",
        },
        {"type": "qa", "id": "q1", "question": "Who?"},
    )

    ran = await command(
        "import", file, "--map", "name=speaker,sent_at=at,episode=session", "--map", "content=text",
        "--database-url", fresh_url, "--json",
    )  # fmt: skip

    assert ran.code == 0
    assert ran.data["files"][0]["passed_over"] == {"qa": 1}
    assert "of type qa passed over: 1" in ran.err
    async with UnitOfWork(fresh_database) as uow:
        assert (await uow.conversations.get(CHAT)).extra_data == {"source_id": "chat", "speakers": ["Ada", "Bob"]}
        first, second = await uow.messages.history(CHAT)
    assert (first.name, first.content, first.episode) == ("Ada", "Hi.", 1)
    assert (second.name, second.content, second.episode) == ("Bob", "Look!", 2)
    assert second.sent_at.isoformat() == "2026-03-01T10:00:00+00:00"
    assert second.extra_data == {"source_id": "D2:1", "image_caption": "a pot"}


async def test_a_file_that_has_grown_is_appended(
    fresh_url: str, fresh_database: Database, command: Command, file: Path
) -> None:
    lines = [talk(), message("1", "one"), message("2", "two"), memory("a", first_message_id="1")]
    write(file, *lines)
    assert (await command("import", file, "--database-url", fresh_url)).code == 0
    write(file, *lines, message("3", "three"), memory("b", first_message_id="3"), talk("other"), message("1", "hello"))

    ran = await command("import", file, "--database-url", fresh_url, "--json")

    told = ran.data["files"][0]
    assert (told["new"], told["extended"], told["messages"], told["memories"]) == (1, 1, 2, 1)
    assert await contents(fresh_database) == ["one", "two", "three"]
    assert await facts(fresh_database) == {"fact a", "fact b"}


async def test_what_was_said_or_deleted_here_stays_so(fresh_database: Database, file: Path) -> None:
    write(file, talk(), message("1", "one"), message("2", "two"), message("3", "three"), memory("a"), memory("b"))
    assert (await _store(fresh_database, file)) == [Change.NEW]
    async with UnitOfWork(fresh_database) as uow:
        await uow.messages.append(CHAT, role="assistant", content="ours")
        await uow.messages.delete(message_uuid(CHAT, "2"))
        await uow.messages.edit(message_uuid(CHAT, "3"), content="three, edited")
        [forgotten] = [record.id async for record in uow.memories.stream() if record.content == "fact a"]
        await uow.memories.delete(forgotten)

    assert (await _store(fresh_database, file)) == [Change.UNCHANGED]

    assert await contents(fresh_database) == ["one", "three, edited", "ours"]
    assert await facts(fresh_database) == {"fact b"}
    with file.open("a") as lines:
        lines.write(json.dumps(message("4", "four")) + "\n")
    assert (await _store(fresh_database, file)) == [Change.EXTENDED]
    assert await contents(fresh_database) == ["one", "three, edited", "ours", "four"]


async def test_a_memory_of_a_message_that_was_deleted_here_names_none(fresh_database: Database, file: Path) -> None:
    write(file, talk(), message("1", "one"), message("2", "two"))
    await _store(fresh_database, file)
    async with UnitOfWork(fresh_database) as uow:
        await uow.messages.delete(message_uuid(CHAT, "1"))
    with file.open("a") as lines:
        lines.write(json.dumps(memory("a", first_message_id="1")) + "\n")

    assert (await _store(fresh_database, file)) == [Change.EXTENDED]

    async with UnitOfWork(fresh_database) as uow:
        [stored] = [record async for record in uow.memories.stream(conversation_id=CHAT)]
    assert (stored.content, stored.first_message_id) == ("fact a", None)


async def test_a_wrong_line_keeps_its_conversation_out_and_nothing_else(
    fresh_url: str, fresh_database: Database, command: Command, file: Path
) -> None:
    good = [talk("first"), message("1"), talk(), message("1", "one")]
    write(file, *good, message("2", "SECRET", sent_at="yesterday"), talk("last"), message("1"))

    ran = await command("import", file, "--database-url", fresh_url, "--json")

    assert (ran.code, ran.out) == (1, "")
    assert "sent_at: line 5: is not an ISO 8601 time with an offset" in ran.err
    assert "conversations stored before it: 1" in ran.err
    assert "SECRET" not in ran.err
    async with UnitOfWork(fresh_database) as uow:
        assert [row.title for row in await uow.conversations.page()] == ["first"]
    write(file, *good, message("2", "two"), talk("last"), message("1"))
    assert (await command("import", file, "--database-url", fresh_url)).code == 0
    assert await contents(fresh_database) == ["one", "two"]


async def test_what_the_database_refuses_keeps_the_whole_conversation_out(
    fresh_url: str, fresh_database: Database, command: Command, file: Path
) -> None:
    taken = str(uuid4())
    write(file, talk("first"), message(taken), talk(), message("1"), message(taken), memory("a"))

    ran = await command("import", file, "--database-url", fresh_url)

    assert ran.code == 1
    assert "the row is there already: pk_messages" in ran.err
    async with UnitOfWork(fresh_database) as uow:
        assert [row.title for row in await uow.conversations.page()] == ["first"]
        assert (await uow.messages.count(), await uow.memories.count()) == (1, 0)


@pytest.mark.parametrize("mine, theirs", [("ada", "bob"), ("ada", None), (None, "bob")])
async def test_another_owners_conversation_is_not_touched(
    fresh_database: Database, fresh_url: str, command: Command, file: Path, mine: str | None, theirs: str | None
) -> None:
    id = str(uuid4())
    write(file, talk(id, owner_id=theirs), message("1", "one"))
    await _store(fresh_database, file)
    write(file, talk(id, owner_id=mine), message("1", "one"), message("2", "two"))

    ran = await command("import", file, "--database-url", fresh_url)

    assert ran.code == 1
    assert "id: line 1: is that of another owner's conversation" in ran.err
    async with UnitOfWork(fresh_database) as uow:
        assert await uow.messages.count() == 1


async def test_one_file_serves_two_owners(
    fresh_url: str, fresh_database: Database, command: Command, file: Path
) -> None:
    write(file, talk(), message("1", "one"), memory("a"))

    for owner in ("ada", "bob"):
        assert (await command("import", file, "--owner", owner, "--database-url", fresh_url)).code == 0

    for owner in ("ada", "bob"):
        async with UnitOfWork(fresh_database, owner_id=owner) as uow:
            [row] = await uow.conversations.page()
            assert (row.id, row.owner_id, row.message_count) == (conversation_uuid("chat", owner), owner, 1)
            assert [memory.owner_id for memory in await uow.memories.page()] == [owner]


async def test_the_persona_is_the_owners_then_a_shared_one_and_else_its_name_is_kept(
    fresh_database: Database, fresh_url: str, command: Command, file: Path
) -> None:
    async with UnitOfWork(fresh_database) as uow:
        await uow.personas.create(name="Odile", template="x", owner_id="bob")
        shared = await uow.personas.create(name="Odile", template="x")
        own = await uow.personas.create(name="Odile", template="x", owner_id="ada")
        await uow.personas.create(name="Brandt", template="x", owner_id="bob")
    owners = {
        "of ada": ("ada", "Odile"),
        "of none": (None, "Odile"),
        "lost": ("ada", "Brandt"),
        "lone": (None, "Brandt"),
    }
    lines = [talk(id, owner_id=owner, persona=persona) for id, (owner, persona) in owners.items()]
    write(file, *lines)

    ran = await command("import", file, "--database-url", fresh_url, "--json")

    assert ran.data["files"][0]["unknown_personas"] == ["Brandt"]
    assert "there is no persona Brandt" in ran.err
    async with UnitOfWork(fresh_database) as uow:
        rows = {row.title: row for row in await uow.conversations.page()}
    assert rows["of ada"].persona_id == own.id
    assert rows["of none"].persona_id == shared.id
    for title in ("lost", "lone"):
        assert rows[title].persona_id is None
        assert rows[title].extra_data["persona"] == "Brandt"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--map", "colour=hue"], "'colour' is not one of"),
        (["--owner", "ada", "--map", "owner_id=whose"], "--map says already whose they are"),
        (["--space", "mini"], "--space is for --vectors"),
        (["--vectors", __file__, "--vectors", __file__], "one --vectors for each FILE"),
        (["nobody-has-this.jsonl"], "does not exist"),
    ],
)
async def test_wrong_usage_is_said_before_anything_is_done(
    command: Command, file: Path, arguments: list[str], words: str
) -> None:
    write(file, talk())

    ran = await command("import", file, *arguments, "--database-url", "sqlite:////nobody/may/write/here.db")

    assert (ran.code, ran.out) == (2, "")
    assert words in " ".join(ran.err.replace("│", " ").split())


async def _store(database: Database, file: Path) -> list[Change]:
    with file.open("rb") as lines:
        return [(await store(database, talk)).change for talk in ConversationReader(lines)]


@pytest.mark.slow
async def test_an_import_that_was_killed_goes_on(
    fresh_url: str, fresh_database: Database, tmp_path: Path, file: Path
) -> None:
    talks = [[talk(f"chat {number}"), *(message(str(n)) for n in range(20)), memory("a")] for number in range(4)]
    read = [json.dumps(line) + "\n" for lines in talks for line in lines]
    # From a pipe the import gets as far as we let it: to the middle of the third conversation.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR)
    os.write(end, "".join(read[:54]).encode())
    arguments = ("-m", "scripts", "import", str(pipe), "--database-url", fresh_url)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT)
    while await _talks(fresh_database) < 2:
        assert process.returncode is None
        await asyncio.sleep(0.05)
    process.kill()
    await process.wait()
    os.close(end)

    write(file, *(line for lines in talks for line in lines))
    with file.open("rb") as lines:
        changes = [(await store(fresh_database, given)).change for given in ConversationReader(lines)]

    assert changes == [Change.UNCHANGED, Change.UNCHANGED, Change.NEW, Change.NEW]
    counts = await fresh_database.fetch_all("SELECT message_count FROM conversations")
    assert counts.column("message_count") == [20] * 4


async def _talks(database: Database) -> int:
    return int(str(await database.fetch_value("SELECT count(*) FROM conversations")))
