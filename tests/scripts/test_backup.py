"""backup and restore: what comes back is what was there; what is not whole is refused before anything is touched."""

import hashlib
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from database import Database
from database.errors import ConfigurationError, StoreError
from database.url import parse_url
from scripts.backup import backup
from scripts.backups import Manifest, TableSum, archive, programs, read, write
from scripts.restore import restore
from tests.damage import SECRET, damage, fill
from tests.scripts.conftest import Command
from tests.support import on_postgresql, on_sqlite

MESSAGES = "SELECT count(*) FROM messages"


@pytest.fixture
async def filled(fresh_url: str) -> str:
    """Its URL; nobody is connected."""
    async with Database(fresh_url) as database:
        await fill(database)
    return fresh_url


async def count(url: str) -> object:
    async with Database(url) as database:
        return await database.fetch_value(MESSAGES)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def spoil(url: str) -> None:
    Path(str(parse_url(url).database)).write_bytes(b"no database at all" * 1_000)


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


async def test_what_is_restored_is_what_was_saved(
    filled: str, empty_url: str, tmp_path: Path, command: Command
) -> None:
    file = tmp_path / "monday.backup"

    saved = await command("backup", file, "--database-url", filled, "--json")
    restored = await command("restore", file, "--database-url", empty_url, "--json")

    assert (saved.code, restored.code) == (0, 0), saved.err + restored.err
    assert saved.data["tables"]["messages"]["rows"] == 6
    assert saved.data["revision"]
    assert restored.data == {"restored": True, "manifest": saved.data, "faults": []}
    again = await backup(Database(empty_url), tmp_path / "again.backup")
    assert again.tables == Manifest.model_validate(saved.data).tables
    assert names(tmp_path) == ["again.backup", "monday.backup"]
    async with Database(empty_url) as database:
        assert await database.fetch_value("SELECT min(content) FROM conversation_memory") == SECRET


@pytest.mark.slow
async def test_nothing_is_replaced_unless_it_is_said(filled: str, tmp_path: Path, command: Command) -> None:
    file = tmp_path / "x.backup"
    assert (await command("backup", file, "--database-url", filled)).code == 0
    before = file.read_bytes()
    async with Database(filled) as database:
        await database.execute("DELETE FROM conversations")

    second = await command("backup", file, "--database-url", filled)
    into_rows = await command("restore", file, "--database-url", filled)
    whole = await command("restore", file, "--check-only", "--database-url", "sqlite:///nowhere/x.db")
    forced = await command("restore", file, "--force", "--database-url", filled)

    assert (second.code, into_rows.code, whole.code, forced.code) == (2, 2, 0, 0)
    assert "--force" in second.err
    assert "--force" in into_rows.err
    assert file.read_bytes() == before
    assert "is whole" in whole.out
    assert await count(filled) == 6


async def test_a_damaged_backup_touches_nothing(filled: str, tmp_path: Path, command: Command) -> None:
    file = tmp_path / "x.backup"
    await backup(Database(filled), file)
    flip(file, file.stat().st_size - 1_000)
    async with Database(filled) as database:
        await database.execute("DELETE FROM conversation_memory")

    ran = await command("restore", file, "--force", "--database-url", filled)

    assert ran.code == 1
    assert "damaged" in ran.err
    async with Database(filled) as database:
        assert await database.fetch_value("SELECT count(*) FROM conversation_memory") == 0


@pytest.mark.slow
async def test_what_was_wrong_before_comes_back_and_is_told(
    filled: str, empty_url: str, tmp_path: Path, command: Command
) -> None:
    await damage(filled, "UPDATE conversations SET message_count = 9 WHERE title = 'one'")
    await backup(Database(filled), tmp_path / "x.backup")

    ran = await command("restore", tmp_path / "x.backup", "--database-url", empty_url, "--json")

    assert ran.code == 1
    assert ran.data["faults"] == ["conversations: message_count is not what its rows say (1 row)"]
    assert "--repair" in ran.err
    assert await count(empty_url) == 6


async def test_a_backup_goes_into_its_own_kind_only(backend: str, fresh_url: str, tmp_path: Path) -> None:
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[backend]
    file = small_backup(tmp_path, database=other)

    with pytest.raises(ConfigurationError, match=f"backup of {other}.*import"):
        await restore(Database(fresh_url), file)


async def test_a_backup_of_newer_code_is_refused(backend: str, fresh_url: str, tmp_path: Path) -> None:
    file = small_backup(tmp_path, database=backend, revision="from-the-future")

    with pytest.raises(ConfigurationError, match="from-the-future"):
        await restore(Database(fresh_url), file)


def small_backup(folder: Path, *, database: str = "sqlite", revision: str = "1") -> Path:
    data = folder / "data"
    data.write_bytes(b"what a database wrote")
    manifest = Manifest(
        database=database,
        version="1",
        made_at=datetime.now(UTC),
        revision=revision,
        tables={"messages": TableSum(rows=1, checksum="00")},
        data=archive.describe(data),
    )
    write(folder / "small.backup", manifest, data)
    return folder / "small.backup"


def test_flipped_bytes_and_missing_ends_are_refused(tmp_path: Path) -> None:
    file = small_backup(tmp_path)
    content = file.read_bytes()
    with read(file) as (manifest, data):
        assert data.read() == b"what a database wrote"
        assert manifest.data.sha256 == hashlib.sha256(b"what a database wrote").hexdigest()
    places = range(0, len(content), 3)
    broken = [content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :] for place in places]
    broken += [content[:length] for length in places]
    broken += [content + b"\n", content + content]

    for bad in broken:
        file.write_bytes(bad)
        with pytest.raises(StoreError), read(file):
            pass


@on_sqlite
async def test_a_database_in_memory_has_no_backup(backend: str, tmp_path: Path, command: Command) -> None:
    ran = await command("backup", tmp_path / "x.backup", "--database-url", "sqlite:///:memory:")
    missing = await command("backup", tmp_path / "x.backup", "--database-url", f"sqlite:///{tmp_path}/nothing.db")

    assert (ran.code, missing.code) == (2, 2)
    assert "in memory" in ran.err
    assert names(tmp_path) == []


@on_sqlite
async def test_a_damaged_file_is_replaced(filled: str, tmp_path: Path) -> None:
    await backup(Database(filled), tmp_path / "x.backup")
    spoil(filled)

    with pytest.raises(ConfigurationError, match="holds rows"):
        await restore(Database(filled), tmp_path / "x.backup")
    await restore(Database(filled), tmp_path / "x.backup", force=True)

    assert await count(filled) == 6


@on_sqlite
async def test_a_file_that_somebody_uses_is_not_replaced(filled: str, tmp_path: Path) -> None:
    """Its log would be taken for the new file's."""
    await backup(Database(filled), tmp_path / "x.backup")
    file = str(parse_url(filled).database)
    with closing(sqlite3.connect(file)) as other:
        other.execute("DELETE FROM message_embeddings")
        other.commit()

        with pytest.raises(StoreError, match="lock"):
            await restore(Database(filled), tmp_path / "x.backup", force=True)

    async with Database(filled) as database:
        assert await database.fetch_value("SELECT count(*) FROM message_embeddings") == 0


@on_postgresql
async def test_missing_programs_are_told_in_a_sentence(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "programs", lambda: None)
    monkeypatch.setattr(programs, "ELSEWHERE", ())

    ran = await command("backup", tmp_path / "x.backup", "--database-url", filled)

    assert ran.code == 2
    assert "pg_dump and pg_restore 18 or newer are needed" in " ".join(ran.err.split())


def test_where_to_connect_stands_in_the_environment_alone() -> None:
    url = parse_url("postgresql://ada:ge%40heim@one:1,two:2/chat?sslmode=require")

    found = programs.environment(url)

    assert found["PGPASSWORD"] == "ge@heim"
    assert (found["PGHOST"], found["PGPORT"], found["PGUSER"]) == ("one,two", "1,2", "ada")
    assert (found["PGDATABASE"], found["PGSSLMODE"]) == ("chat", "require")
    socket = programs.environment(parse_url("postgresql://postgres@/chat?host=/tmp/place"))
    assert socket["PGHOST"] == "/tmp/place"


def test_a_complaint_quotes_no_row() -> None:
    text = 'pg_restore: error: COPY failed for table "messages": ERROR:  invalid input: "secret"\nCONTEXT:  "secret"'

    assert programs.complaint("pg_restore", text) == 'pg_restore: error: COPY failed for table "messages": '
