"""check --deep: each damage is planted behind the database's back, found alone, and mended where that can be."""

from pathlib import Path

import pytest

from database import Database
from repositories.integrity import PARTS
from scripts import deep_findings
from tests.damage import SECRET, damage, fill
from tests.scripts.conftest import Command
from tests.support import on_postgresql, on_sqlite

LONG_AGO = "'2020-01-01 00:00:00.000000'"

Found = list[tuple[str, str, str, int]]


async def look(database: Database, *only: str) -> Found:
    """Check, table, how it is wrong, and the number of rows; by all parts, or by those named."""
    async with database.session() as session:
        return [
            (name, fault.table, fault.what, fault.rows)
            for name, part in PARTS.items()
            if not only or name in only
            for fault in await part.look(session)
        ]


def one(table: str) -> str:
    return f"(SELECT id FROM {table} ORDER BY id LIMIT 1)"


def wrong(table: str, name: str, rows: int = 1) -> tuple[str, str, str, int]:
    return "counters", table, f"{name} is not what its rows say", rows


def orphan(table: str, name: str, parent: str, rows: int) -> tuple[str, str, str, int]:
    return "orphans", table, f"{name} names a row of {parent} that is not there", rows


async def assert_found_and_mended(database: Database, expected: Found, *only: str) -> None:
    assert sorted(await look(database, *only)) == sorted(expected)
    repaired = await deep_findings.repair(database)
    reported = sorted((mended.table, mended.message, mended.rows) for mended in repaired)
    assert reported == sorted(found[1:] for found in expected)
    assert await look(database, *only) == []


async def test_counters_are_computed_again(fresh_database: Database, fresh_url: str) -> None:
    await fill(fresh_database)
    counters = "SELECT * FROM conversations ORDER BY id"
    before = await fresh_database.fetch_all(counters)
    changes = {
        "message_count": "17",
        "input_tokens": "1000",
        "output_tokens": "1",
        "last_position": "3",
        "last_episode": "0",
        "last_message_at": LONG_AGO,
    }
    await damage(
        fresh_url,
        *(f"UPDATE conversations SET {name} = {value} WHERE title = 'one'" for name, value in changes.items()),
        f"UPDATE conversations SET output_tokens = 5, last_message_at = {LONG_AGO} WHERE title = 'empty'",
        f"UPDATE runs SET last_step_position = 1 WHERE id = {one('runs')}",
    )

    twice = ("output_tokens", "last_message_at")
    found = [wrong("conversations", name, 1 + (name in twice)) for name in changes]
    await assert_found_and_mended(fresh_database, [*found, wrong("runs", "last_step_position")])
    after = await fresh_database.fetch_all(counters)
    # The one that is empty had another look at the clock.
    assert after[1:] == before[1:]
    assert after[0] | {"last_message_at": None} == before[0] | {"last_message_at": None}


async def test_a_gap_is_no_fault(fresh_database: Database, fresh_url: str) -> None:
    """Nor are positions and episodes that were given and are gone."""
    await fill(fresh_database)
    await damage(fresh_url, "UPDATE conversations SET last_position = 99, last_episode = 7")

    assert await look(fresh_database) == []
    assert await deep_findings.repair(fresh_database) == ()
    assert await fresh_database.fetch_value("SELECT min(last_position) FROM conversations") == 99


@pytest.mark.slow
async def test_orphans_go_as_the_cascade_would_have_taken_them(fresh_database: Database, fresh_url: str) -> None:
    await fill(fresh_database)
    await damage(
        fresh_url,
        "DELETE FROM personas",
        f"DELETE FROM runs WHERE id = {one('runs')}",
        "DELETE FROM embedding_spaces",
    )
    await assert_found_and_mended(
        fresh_database,
        [
            orphan("conversations", "persona_id", "personas", 3),
            orphan("steps", "run_id", "runs", 2),
            orphan("embeddings", "embedding_space_id", "embedding_spaces", 1),
            orphan("memory_embeddings", "embedding_space_id", "embedding_spaces", 2),
            orphan("message_embeddings", "embedding_space_id", "embedding_spaces", 6),
        ],
    )
    await damage(fresh_url, "DELETE FROM conversations WHERE title = 'two'")
    await assert_found_and_mended(
        fresh_database,
        [
            orphan("conversation_memory", "conversation_id", "conversations", 1),
            orphan("conversation_states", "conversation_id", "conversations", 1),
            orphan("messages", "conversation_id", "conversations", 3),
            orphan("runs", "conversation_id", "conversations", 1),
        ],
    )
    left = await fresh_database.fetch_one(
        "SELECT (SELECT count(*) FROM messages) AS messages, (SELECT count(*) FROM message_embeddings) AS vectors, "
        "(SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM steps) AS steps, "
        "(SELECT count(*) FROM conversations WHERE persona_id IS NULL) AS talks"
    )
    assert left == {"messages": 3, "vectors": 0, "runs": 1, "steps": 2, "talks": 2}


async def test_a_position_of_nowhere_is_told_and_left(fresh_database: Database, fresh_url: str, backend: str) -> None:
    await fill(fresh_database)
    without_rule = "ALTER TABLE messages DROP CONSTRAINT ck_messages_position_range"
    move = f"UPDATE messages SET position = -1 WHERE id = {one('messages')}"
    await damage(fresh_url, *([] if backend == "sqlite" else [without_rule]), move)

    found = await look(fresh_database)

    # The file has its rules in it, and says so too.
    told = [("storage", "messages", "has a value that breaks a rule of the table", 1)] if backend == "sqlite" else []
    assert found == [*told, ("positions", "messages", "position is less than 1", 1)]
    assert await deep_findings.repair(fresh_database) == ()
    assert await look(fresh_database) == found


@on_postgresql
async def test_a_position_that_is_taken_twice(fresh_database: Database, fresh_url: str) -> None:
    await fill(fresh_database)
    await damage(
        fresh_url,
        "ALTER TABLE steps DROP CONSTRAINT uq_steps_run_id_position",
        "UPDATE steps SET position = 2 WHERE position = 1",
    )

    assert await look(fresh_database) == [("positions", "steps", "position is taken twice in its run_id", 2)]
    assert await deep_findings.repair(fresh_database) == ()


@pytest.mark.slow
async def test_vectors_that_cannot_be_compared_are_removed(
    fresh_database: Database, fresh_url: str, backend: str
) -> None:
    await fill(fresh_database)
    narrow, flat = ("x'0000803f'", f"x'{'00' * 12}'") if backend == "sqlite" else ("'[1]'", "'[0,0,0]'")
    await damage(
        fresh_url,
        f"UPDATE message_embeddings SET embedding = {narrow}",
        f"UPDATE memory_embeddings SET embedding = {flat}",
        f"UPDATE embeddings SET embedding = {narrow}",
    )

    kept = ("embeddings", "embeddings", "the vector has not the width of its space", 1)
    removed = [
        ("embeddings", "memory_embeddings", "the vector has no direction", 2),
        ("embeddings", "message_embeddings", "the vector has not the width of its space", 6),
    ]
    assert await look(fresh_database) == [*removed, kept]
    repaired = await deep_findings.repair(fresh_database)
    assert [one.rows for one in repaired] == [2, 6]
    assert await look(fresh_database) == [kept]
    assert await fresh_database.fetch_value("SELECT count(*) FROM messages") == 6


@on_sqlite
async def test_bytes_that_are_no_vector(fresh_database: Database, fresh_url: str) -> None:
    await fill(fresh_database)
    nan = "0000c07f" * 3
    for broken, what in [
        ("x'00'", "the vector has not the width of its space"),
        ("x''", "the vector has not the width of its space"),
        ("'twelve bytes'", "the vector has not the width of its space"),
        (f"x'{nan}'", "the vector has no direction"),
        (f"x'{'0000807f' * 3}'", "the vector has no direction"),
    ]:
        await damage(fresh_url, f"UPDATE embeddings SET embedding = {broken}")
        assert await look(fresh_database, "embeddings") == [("embeddings", "embeddings", what, 1)]


@pytest.mark.slow
@on_sqlite
async def test_a_text_index_that_says_something_else_is_built_again(fresh_database: Database, fresh_url: str) -> None:
    await fill(fresh_database)
    first = "(SELECT number FROM messages_search ORDER BY number LIMIT 1)"
    for statements, found in [
        (
            [f"DELETE FROM messages_search WHERE number = {first}"],
            [("text index", "messages", "is not in the index of its words", 1)],
        ),
        (
            ["INSERT INTO conversation_memory_search (row_id, size) VALUES ('gone', 1)"],
            [("text index", "conversation_memory", "is gone, and still in the index of its words", 1)],
        ),
        (
            [f"UPDATE messages_search SET size = size + 1 WHERE number = {first}"],
            [("text index", "messages", "is longer or shorter than the index says", 1)],
        ),
        (
            ["INSERT INTO messages_fts (messages_fts) VALUES ('delete-all')"],
            [("text index", "messages", "has other words than the index says", 6)],
        ),
        (
            [f"INSERT INTO messages_fts (rowid, content) VALUES ({first}, 'a word of no message')"],
            [("text index", "messages", "has other words than the index says", 1)],
        ),
        (
            ["UPDATE messages_fts_data SET block = x'00' WHERE id > 10"],
            [("text index", "messages", "has a damaged index of its words", 1)],
        ),
    ]:
        await damage(fresh_url, *statements)
        await assert_found_and_mended(fresh_database, found, "text index")


@on_postgresql
async def test_indexes_that_nobody_uses_are_built_again(fresh_database: Database, fresh_url: str) -> None:
    await fill(fresh_database)
    await damage(
        fresh_url,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_conversation_memory_owner_id_id'::regclass",
        "DROP INDEX ix_messages_search_vector",
    )

    await assert_found_and_mended(
        fresh_database,
        [
            ("storage", "ix_conversation_memory_owner_id_id", "is an invalid index", 1),
            ("text index", "messages", "has no index of its words", 1),
        ],
    )


def overwrite(url: str, place: object) -> None:
    assert isinstance(place, int)
    file = Path(url.removeprefix("sqlite:///"))
    content = file.read_bytes()
    file.write_bytes(content[:place] + b"\xff" * 4096 + content[place + 4096 :])


@on_sqlite
async def test_a_damaged_file_is_told_and_left(fresh_database: Database, fresh_url: str, command: Command) -> None:
    await fill(fresh_database)
    place = await fresh_database.fetch_value(
        "SELECT (rootpage - 1) * 4096 FROM sqlite_master WHERE name = 'conversation_states'"
    )
    await fresh_database.close()
    overwrite(fresh_url, place)

    ran = await command("check", "--deep", "--repair", "--database-url", fresh_url, "--json")

    assert ran.code == 1
    assert "damaged" in ran.out + ran.err


@pytest.mark.slow
async def test_the_command_finds_repairs_and_reports(
    fresh_database: Database, fresh_url: str, command: Command
) -> None:
    await fill(fresh_database)
    await damage(fresh_url, "UPDATE conversations SET message_count = 9", "DELETE FROM runs")

    found = await command("check", "--deep", "--database-url", fresh_url, "--json")
    repaired = await command("check", "--deep", "--repair", "--database-url", fresh_url, "--json")

    assert (found.code, repaired.code) == (1, 0)
    assert found.data["checks"][-len(PARTS) :] == list(PARTS)
    assert [finding["message"] for finding in found.data["findings"] if finding["check"] in PARTS] == [
        "steps: run_id names a row of runs that is not there (4 rows)",
        "conversations: message_count is not what its rows say (3 rows)",
    ]
    assert [(one["table"], one["rows"]) for one in repaired.data["repaired"]] == [("steps", 4), ("conversations", 3)]
    assert "repaired: steps: run_id names a row of runs that is not there (4): removed" in repaired.err
    assert SECRET not in found.out + found.err + repaired.out + repaired.err


async def test_repair_without_deep_is_refused(command: Command) -> None:
    ran = await command("check", "--repair", "--database-url", "sqlite:///nowhere/x.db")

    assert ran.code == 2
