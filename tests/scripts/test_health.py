"""The health command: what the database is, and whether it is there."""

from pathlib import Path

import pytest

from database import Database
from tests.scripts.conftest import Command

KEYS = {"status", "message", "database", "version", "host", "port", "revision", "pool"}


async def test_a_database_that_answers(fresh_url: str, backend: str, command: Command) -> None:
    ran = await command("health", "--database-url", fresh_url, "--json")

    assert ran.code == 0
    assert ran.data.keys() == KEYS
    assert ran.data["status"] == "ok"
    assert ran.data["version"].startswith(f"{backend} ")
    assert ran.data["revision"]
    assert ran.data["pool"].keys() == {"size", "checked_out", "checked_in", "overflow"}


async def test_for_a_person_it_names_what_to_do(empty_url: str, fresh_url: str, command: Command) -> None:
    async with Database(empty_url) as database:
        await database.fetch_value("SELECT 1")
    fresh = await command("health", "--database-url", empty_url)
    migrated = await command("health", "--database-url", fresh_url)

    assert (fresh.code, migrated.code) == (0, 0)
    assert "none: run `python3 -m scripts migrate`" in fresh.out
    assert "none: run" not in migrated.out
    assert "the database answers" in migrated.out


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_a_database_that_is_not_reached(command: Command, form: list[str]) -> None:
    ran = await command("health", "--database-url", "postgresql://ada:geheim@127.0.0.1:1/x", *form)

    assert ran.code == 3
    assert "not reached" in ran.out
    assert "geheim" not in ran.out + ran.err
    if form:
        assert ran.data.keys() == KEYS
        assert (ran.data["status"], ran.data["host"], ran.data["port"]) == ("error", "127.0.0.1", 1)


@pytest.mark.parametrize("asked", ["health", "check"])
async def test_a_file_that_is_not_there_is_not_made(command: Command, tmp_path: Path, asked: str) -> None:
    file = tmp_path / "new" / "chat.db"

    ran = await command(asked, "--database-url", f"sqlite:///{file}")

    assert ran.code == 3
    assert "there is no database" in ran.out
    assert not file.parent.exists()


async def test_a_file_that_is_no_database(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Ada, " * 500)

    ran = await command("health", "--database-url", f"sqlite:///{file}", "--json")

    assert (ran.code, ran.data["message"]) == (3, "the file is not a database")


async def test_an_address_that_cannot_be_one(command: Command) -> None:
    ran = await command("health", "--database-url", "mysql://ada:geheim@db/x")

    assert (ran.code, ran.out) == (2, "")
    assert "no driver for mysql" in ran.err
    assert "geheim" not in ran.err
