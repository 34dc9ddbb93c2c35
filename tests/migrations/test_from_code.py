"""`database.migrate()` and what it stands on: inside a running loop, several at once, in memory, and drift in words."""

import asyncio
import logging
from pathlib import Path

import pytest

from database import Database, migrations, postgres
from database.errors import ConfigurationError
from database.history import transaction
from database.url import parse_url
from tests.migrations.support import newest, write_ini, write_revision
from tests.support import on_postgresql

ROOT = Path(__file__).resolve().parents[2]


async def test_a_database_in_memory_migrates_over_its_one_connection() -> None:
    async with Database(":memory:") as database:
        await database.migrate()
        await database.migrate()
        assert await database.fetch_value("SELECT version_num FROM alembic_version") == newest()
        assert await database.fetch_value("PRAGMA foreign_keys") == 1


async def test_several_tasks_migrate_at_once(copies_of_empty: list[str]) -> None:
    """Of one database and of several, in memory too: nobody waits for someone who waits for him."""

    async def migrate(url: str) -> object:
        async with Database(url) as database:
            await database.migrate()
            return await database.fetch_value("SELECT version_num FROM alembic_version")

    urls = [*copies_of_empty, *copies_of_empty, ":memory:", ":memory:"]
    async with asyncio.timeout(60):
        assert await asyncio.gather(*map(migrate, urls)) == [newest()] * len(urls)


@pytest.fixture
async def copies_of_empty(empty_url: str, tmp_path: Path) -> list[str]:
    return [empty_url, f"sqlite:///{tmp_path}/other.db"]


async def test_a_cancelled_caller_finds_all_or_nothing(empty_url: str) -> None:
    place = parse_url(empty_url)
    task = asyncio.create_task(migrations.upgrade(place))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await migrations.upgrade(place)
    assert await migrations.current(place) == (newest(),)
    assert await migrations.drift(place) == []


async def test_the_applications_logging_stands(empty_url: str) -> None:
    root, ours = logging.getLogger(), logging.getLogger("an.application")
    before = (root.level, list(root.handlers), ours.disabled, logging.getLogger("alembic").level)
    await migrations.upgrade(parse_url(empty_url), config=ROOT / "alembic.ini")
    assert (root.level, list(root.handlers), ours.disabled, logging.getLogger("alembic").level) == before


async def test_drift_is_told_in_words(fresh_url: str) -> None:
    async with Database(fresh_url) as database:
        await database.execute("ALTER TABLE runs ADD COLUMN mood TEXT")
        await database.execute("ALTER TABLE runs RENAME COLUMN result TO outcome")
        await database.execute("CREATE TABLE moods (id BIGINT PRIMARY KEY)")
        await database.execute("DROP INDEX ix_runs_conversation_id")
        await database.execute("DROP INDEX uq_runs_idempotency_key")
        await database.execute("CREATE UNIQUE INDEX uq_runs_idempotency_key ON runs (idempotency_key, lower(owner_id))")
    assert sorted(await migrations.drift(parse_url(fresh_url))) == [
        "add column: runs.result",
        "add index: ix_runs_conversation_id",
        "add index: uq_runs_idempotency_key",
        "remove column: runs.mood",
        "remove column: runs.outcome",
        "remove index: uq_runs_idempotency_key",
        "remove table: moods",
    ]


@on_postgresql
async def test_drift_sees_a_changed_check_and_not_the_index_of_a_space(fresh_url: str) -> None:
    async with Database(fresh_url) as database:
        await database.execute("ALTER TABLE messages DROP CONSTRAINT ck_messages_role")
        await database.execute("ALTER TABLE messages ADD CONSTRAINT ck_messages_role CHECK (role IN ('user'))")
        await database.execute("COMMENT ON COLUMN messages.name IS 'Somebody'")
        await database.execute(
            "CREATE INDEX ix_hnsw_one ON embeddings USING hnsw ((embedding::halfvec(3)) halfvec_cosine_ops) "
            "WHERE embedding_space_id = '00000000-0000-0000-0000-000000000000'"
        )
    assert sorted(await migrations.drift(parse_url(fresh_url))) == [
        "add constraint: ck_messages_role",
        "modify comment: messages.name",
        "remove constraint: ck_messages_role",
    ]


async def test_pending_are_the_revisions_in_their_order(fresh_url: str, tmp_path: Path) -> None:
    ini = write_ini(tmp_path)
    write_revision(tmp_path, "second", "pass")
    write_revision(tmp_path, "third", "pass", after="second")
    place = parse_url(fresh_url)
    assert await migrations.pending(place) == ()
    assert await migrations.pending(place, config=ini) == ("second", "third")
    await migrations.upgrade(place, "second", config=ini)
    assert await migrations.pending(place, config=ini) == ("third",)


@on_postgresql
async def test_an_old_pgvector_is_refused(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "LEAST_PGVECTOR", (9, 9))
    with pytest.raises(ConfigurationError, match=r"^pgvector 9\.9 or newer is needed, this is 0\.\d+\.\d+: ALTER EXT"):
        await migrations.upgrade(parse_url(empty_url))
    assert await migrations.current(parse_url(empty_url)) == ()


@on_postgresql
async def test_an_old_server_is_refused(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LEAST_SERVER", (99,))
    with pytest.raises(ConfigurationError, match=r"^PostgreSQL 99 or newer is needed, this is \d+"):
        await migrations.upgrade(parse_url(empty_url))
