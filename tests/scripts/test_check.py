"""The check command: each fault that it looks for is planted, found, and told with its remedy."""

import pytest

from database import Database
from repositories import UnitOfWork
from scripts import findings
from tests.scripts.conftest import Command, Ran
from tests.support import on_postgresql, on_sqlite

CHECKS = ["connection", "vectors", "revisions", "checksums", "drift", "foreign keys", "spaces"]


async def check(command: Command, url: str) -> Ran:
    return await command("check", "--database-url", url, "--json")


def told(ran: Ran) -> list[tuple[str, str]]:
    return [(finding["level"], finding["check"]) for finding in ran.data["findings"]]


async def test_a_migrated_database_is_as_it_should_be(fresh_url: str, backend: str, command: Command) -> None:
    ran = await check(command, fresh_url)

    assert ran.code == 0, ran.out
    assert ran.data["findings"] == []
    assert ran.data["checks"] == CHECKS
    assert ran.data["reachable"]
    assert ran.data["version"].startswith(backend)
    assert ran.data["vectors"].startswith({"sqlite": "numpy 2", "postgresql": "pgvector 0."}[backend])
    assert ran.data["revision"]


async def test_a_finding_is_one_line_with_what_to_do(
    fresh_database: Database, fresh_url: str, command: Command
) -> None:
    await fresh_database.execute("ALTER TABLE steps ADD COLUMN a_colour_that_nobody_has_asked_for_until_now TEXT")

    ran = await command("check", "--database-url", fresh_url)

    assert ran.code == 1
    [line] = [line for line in ran.out.splitlines() if line.startswith("error")]
    assert line.startswith("error   drift         ")
    assert "a_colour_that_nobody_has_asked_for_until_now; alembic revision --autogenerate" in line
    assert [line.split()[0] for line in ran.out.splitlines()].count("ok") == len(CHECKS) - 1


async def test_a_database_that_was_never_migrated(empty_url: str, backend: str, command: Command) -> None:
    ran = await check(command, empty_url)

    assert ran.code == 1
    pending = ("error", "revisions")
    # SQLite needs nothing to be installed.
    assert told(ran) == [pending] if backend == "sqlite" else [("error", "vectors"), pending]
    assert ran.data["checks"] == CHECKS[:3]
    assert {finding["remedy"] for finding in ran.data["findings"]} == {"python3 -m scripts migrate"}


async def test_a_database_of_newer_code(fresh_database: Database, fresh_url: str, command: Command) -> None:
    await fresh_database.execute("UPDATE alembic_version SET version_num = 'from-the-future'")

    ran = await check(command, fresh_url)

    assert (ran.code, told(ran)) == (1, [("error", "revisions")])
    assert "from-the-future" in ran.data["findings"][0]["message"]


async def test_a_revision_that_was_changed(fresh_database: Database, fresh_url: str, command: Command) -> None:
    await fresh_database.execute("UPDATE migration_checksums SET checksum = 'another'")

    ran = await check(command, fresh_url)

    assert (ran.code, told(ran)) == (1, [("error", "checksums")])
    assert "was changed after it was applied" in ran.data["findings"][0]["message"]


async def test_an_index_that_is_gone(fresh_database: Database, fresh_url: str, command: Command) -> None:
    await fresh_database.execute("DROP INDEX ix_persona_modules_module_id")

    ran = await check(command, fresh_url)

    assert (ran.code, told(ran)) == (1, [("error", "drift"), ("error", "foreign keys")])
    key = ran.data["findings"][1]
    assert key["message"] == "persona_modules (module_id) has no index: deleting from modules reads all of it"
    assert key["remedy"] == "an index on persona_modules that begins with it"


@pytest.mark.parametrize(
    "index, serves",
    [
        ("CREATE INDEX ix_notes ON notes (conversation_id, body)", True),
        ("CREATE INDEX ix_notes ON notes (conversation_id, lower(body))", True),
        ("CREATE INDEX ix_notes ON notes (body, conversation_id)", False),
        ("CREATE INDEX ix_notes ON notes (lower(body), conversation_id)", False),
        ("CREATE INDEX ix_notes ON notes (conversation_id) WHERE body IS NULL", False),
        ("CREATE UNIQUE INDEX ix_notes ON notes (conversation_id)", True),
    ],
)
async def test_an_applications_foreign_key_needs_a_whole_index_that_begins_with_it(
    fresh_database: Database, fresh_url: str, command: Command, backend: str, index: str, serves: bool
) -> None:
    kind = {"sqlite": "CHAR(32)", "postgresql": "UUID"}[backend]
    await fresh_database.execute(
        f"CREATE TABLE notes (conversation_id {kind} REFERENCES conversations (id), body TEXT)"
    )
    await fresh_database.execute(index)

    found = [finding["message"] for finding in (await check(command, fresh_url)).data["findings"]]

    message = "notes (conversation_id) has no index: deleting from conversations reads all of it"
    assert (message in found) is not serves


@on_sqlite
async def test_a_key_that_is_the_rowid_needs_no_index(
    fresh_database: Database, fresh_url: str, command: Command
) -> None:
    await fresh_database.execute("CREATE TABLE places (id INTEGER PRIMARY KEY)")
    await fresh_database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY REFERENCES places (id))")

    ran = await check(command, fresh_url)

    assert ("error", "foreign keys") not in told(ran)


async def store_vectors(database: Database, *, dimensions: int = 3, count: int = 1) -> None:
    async with UnitOfWork(database) as uow:
        space = await uow.embedding_spaces.create(name="mini", dimensions=dimensions)
        vector = [1.0] * dimensions
        await uow.memories.remember_many(({"content": "x", "vector": vector} for _ in range(count)), space=space)


@on_postgresql
async def test_a_space_without_index_is_advice_while_it_is_small(
    fresh_database: Database, fresh_url: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "FAST_ENOUGH", 2)
    await store_vectors(fresh_database, count=2)

    small = await check(command, fresh_url)

    assert (small.code, told(small)) == (0, [("advice", "spaces")])
    assert small.data["findings"][0] == {
        "level": "advice",
        "check": "spaces",
        "message": "the space mini in memory_embeddings has no index: search reads all its vectors, at most 2",
        "remedy": "python3 -m scripts index mini",
    }
    async with UnitOfWork(fresh_database) as uow:
        await uow.memories.remember("y", vector=[1.0, 2.0, 3.0], space=await uow.embedding_spaces.get_by_name("mini"))
    large = await check(command, fresh_url)
    assert (large.code, told(large)) == (1, [("error", "spaces")])
    assert (await command("index", "mini", "--database-url", fresh_url)).code == 0
    indexed = await check(command, fresh_url)
    assert (indexed.code, told(indexed)) == (0, [])


@on_postgresql
async def test_an_index_that_was_left_unfinished(fresh_database: Database, fresh_url: str, command: Command) -> None:
    await store_vectors(fresh_database)
    await command("index", "mini", "--database-url", fresh_url)
    await fresh_database.execute(
        "UPDATE pg_index SET indisvalid = false "
        "WHERE indexrelid IN (SELECT oid FROM pg_class WHERE relname LIKE 'ix_hnsw_memory_embeddings%')"
    )

    ran = await check(command, fresh_url)

    assert (ran.code, told(ran)) == (1, [("error", "spaces")])
    assert "was left unfinished" in ran.data["findings"][0]["message"]


@on_postgresql
async def test_a_space_too_wide_for_an_index_is_advice(
    fresh_database: Database, fresh_url: str, command: Command
) -> None:
    await store_vectors(fresh_database, dimensions=4_001)

    ran = await check(command, fresh_url)

    assert (ran.code, told(ran)) == (0, [("advice", "spaces")])
    assert "too wide for an index (4001 dimensions)" in ran.data["findings"][0]["message"]


@on_postgresql
async def test_a_retired_space_is_nobodys_concern(fresh_database: Database, fresh_url: str, command: Command) -> None:
    await store_vectors(fresh_database)
    async with UnitOfWork(fresh_database) as uow:
        await uow.embedding_spaces.retire((await uow.embedding_spaces.get_by_name("mini")).id)

    ran = await check(command, fresh_url)

    assert (ran.code, told(ran)) == (0, [])


@on_sqlite
async def test_a_space_needs_no_index_on_sqlite(fresh_database: Database, fresh_url: str, command: Command) -> None:
    await store_vectors(fresh_database, dimensions=4_001, count=3)

    ran = await check(command, fresh_url)

    assert (ran.code, told(ran)) == (0, [])


@on_postgresql
async def test_an_old_pgvector(fresh_database: Database, fresh_url: str, command: Command) -> None:
    await fresh_database.execute("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'")

    ran = await check(command, fresh_url)

    assert (ran.code, told(ran)) == (1, [("error", "vectors")])
    assert ran.data["findings"][0]["message"] == "pgvector is 0.7.4, and 0.8 is needed"


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_a_database_that_is_not_reached(command: Command, form: list[str]) -> None:
    ran = await command("check", "--database-url", "postgresql://ada:geheim@127.0.0.1:1/x", *form)

    assert ran.code == 3
    assert "not reached" in ran.out
    assert "geheim" not in ran.out + ran.err
    if form:
        assert (ran.data["reachable"], ran.data["checks"]) == (False, ["connection"])
