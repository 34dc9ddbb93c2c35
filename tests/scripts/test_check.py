"""The check command: each fault that it looks for is planted, found, and told with its remedy."""

from collections.abc import AsyncIterator

import pytest

from database import Database
from repositories import UnitOfWork
from scripts import findings
from scripts.findings import Finding, Level
from tests.scripts.conftest import Command
from tests.support import on_postgresql, on_sqlite

CHECKS = ["connection", "vectors", "revisions", "checksums", "drift", "foreign keys", "spaces"]


async def found(look: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in look]


async def test_a_migrated_database_is_as_it_should_be(fresh_url: str, backend: str, command: Command) -> None:
    ran = await command("check", "--database-url", fresh_url, "--json")

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
    await fresh_database.execute("DROP INDEX ix_persona_modules_module_id")

    ran = await command("check", "--database-url", fresh_url)

    assert ran.code == 1
    *drift, key = [line for line in ran.out.splitlines() if line.startswith("error")]
    assert len(drift) == 2
    assert all(line.startswith("error   drift         the models want to ") for line in drift)
    assert any("a_colour_that_nobody_has_asked_for_until_now; alembic revision --auto" in line for line in drift)
    assert key == (
        "error   foreign keys  persona_modules (module_id) has no index: deleting from modules reads all of it; "
        "an index on persona_modules that begins with it"
    )
    assert [line.split()[0] for line in ran.out.splitlines()].count("ok") == len(CHECKS) - 2


async def test_a_database_that_was_never_migrated(empty_url: str, backend: str, command: Command) -> None:
    async with Database(empty_url) as database:
        await database.fetch_value("SELECT 1")
    ran = await command("check", "--database-url", empty_url, "--json")

    assert ran.code == 1
    # SQLite needs nothing to be installed.
    expected = ["revisions"] if backend == "sqlite" else ["vectors", "revisions"]
    assert list(dict.fromkeys(finding["check"] for finding in ran.data["findings"])) == expected
    assert ran.data["checks"] == CHECKS[:3]
    assert {finding["remedy"] for finding in ran.data["findings"]} == {"python3 -m scripts migrate"}


async def test_a_database_of_newer_code(fresh_database: Database) -> None:
    await fresh_database.execute("UPDATE alembic_version SET version_num = 'from-the-future'")

    [finding] = await found(findings.of_revisions(fresh_database))

    assert finding.level is Level.ERROR
    assert "from-the-future" in finding.message
    assert "or newer" in finding.remedy


async def test_a_revision_that_was_changed(fresh_database: Database) -> None:
    await fresh_database.execute("UPDATE migration_checksums SET checksum = 'another'")

    first, *_ = await found(findings.of_checksums(fresh_database))

    assert (first.level, first.check) == (Level.ERROR, "checksums")
    assert "was changed after it was applied" in first.message


@on_postgresql
async def test_an_old_pgvector(fresh_database: Database) -> None:
    await fresh_database.execute("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'")

    [finding] = await found(findings.of_vectors(fresh_database))

    assert (finding.level, finding.message) == (Level.ERROR, "pgvector is 0.7.4, and 0.8 is needed")


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

    small = await command("check", "--database-url", fresh_url, "--json")

    advice = Finding(
        Level.ADVICE,
        "spaces",
        "the space mini in memory_embeddings has no index: search reads all its vectors, at most 2",
        "python3 -m scripts index mini",
    )
    assert small.code == 0
    assert [Finding(**finding) for finding in small.data["findings"]] == [advice]
    async with UnitOfWork(fresh_database) as uow:
        await uow.memories.remember("y", vector=[1.0, 2.0, 3.0], space=await uow.embedding_spaces.get_by_name("mini"))
    [large] = await found(findings.of_spaces(fresh_database))
    assert (large.level, large.remedy) == (Level.ERROR, advice.remedy)
    assert "more than 2" in large.message


@on_postgresql
async def test_an_index_that_was_left_unfinished(fresh_database: Database, fresh_url: str, command: Command) -> None:
    await store_vectors(fresh_database)
    assert (await command("index", "mini", "--database-url", fresh_url)).code == 0
    assert await found(findings.of_spaces(fresh_database)) == []
    await fresh_database.execute(
        "UPDATE pg_index SET indisvalid = false "
        "WHERE indexrelid IN (SELECT oid FROM pg_class WHERE relname LIKE 'ix_hnsw_memory_embeddings%')"
    )

    [finding] = await found(findings.of_spaces(fresh_database))

    assert finding.level is Level.ERROR
    assert "was left unfinished" in finding.message


@on_postgresql
async def test_a_space_too_wide_for_an_index_is_advice_until_it_is_retired(fresh_database: Database) -> None:
    await store_vectors(fresh_database, dimensions=4_001)

    [finding] = await found(findings.of_spaces(fresh_database))

    assert finding.level is Level.ADVICE
    assert "too wide for an index (4001 dimensions)" in finding.message
    async with UnitOfWork(fresh_database) as uow:
        await uow.embedding_spaces.retire((await uow.embedding_spaces.get_by_name("mini")).id)
    assert await found(findings.of_spaces(fresh_database)) == []


@on_sqlite
async def test_a_space_needs_no_index_on_sqlite(fresh_database: Database) -> None:
    await store_vectors(fresh_database, dimensions=4_001, count=3)

    assert await found(findings.of_spaces(fresh_database)) == []


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_a_database_that_is_not_reached(command: Command, form: list[str]) -> None:
    ran = await command("check", "--database-url", "postgresql://ada:geheim@127.0.0.1:1/x", *form)

    assert ran.code == 3
    assert "not reached" in ran.out
    assert "geheim" not in ran.out + ran.err
    if form:
        assert (ran.data["reachable"], ran.data["checks"]) == (False, ["connection"])
