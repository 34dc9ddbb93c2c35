"""The migrate command: forwards, once, and a sentence for whatever it cannot do."""

import pytest

from database import Database
from tests.scripts.conftest import Command


async def test_it_brings_an_empty_database_to_the_newest_revision_once(empty_url: str, command: Command) -> None:
    first = await command("migrate", "--database-url", empty_url, "--json")
    again = await command("migrate", "--database-url", empty_url, "--json")

    assert (first.code, again.code) == (0, 0)
    assert first.data["before"] == []
    assert len(first.data["applied"]) >= 1
    assert first.data["after"] == first.data["applied"][-1:]
    assert again.data == {"before": first.data["after"], "after": first.data["after"], "applied": []}
    assert "nothing to do" in again.err
    async with Database(empty_url) as database:
        assert await database.table_exists("messages")
        assert (await database.health()).revision == first.data["after"][0]


async def test_a_revision_may_be_named(empty_url: str, command: Command) -> None:
    newest = (await command("migrate", "--database-url", empty_url, "--json")).data["after"][0]

    assert (await command("migrate", "--to", newest, "--database-url", empty_url)).code == 0
    assert (await command("migrate", "--to", newest[:6], "--database-url", empty_url)).code == 0
    ran = await command("migrate", "--to", "nobody-made-it", "--database-url", empty_url)

    assert (ran.code, ran.out) == (2, "")
    assert "Can't locate revision" in ran.err


async def test_it_never_goes_back(fresh_url: str, command: Command) -> None:
    ran = await command("migrate", "--to", "base", "--database-url", fresh_url)

    assert (ran.code, ran.out) == (2, "")
    assert "alembic downgrade base" in ran.err
    async with Database(fresh_url) as database:
        assert await database.table_exists("messages")


async def test_a_database_that_is_not_reached(command: Command) -> None:
    ran = await command("migrate", "--database-url", "postgresql://ada:geheim@127.0.0.1:1/x")

    assert (ran.code, ran.out) == (3, "")
    assert "not reached" in ran.err
    assert "geheim" not in ran.err


async def test_a_refusal_is_said_once(fresh_url: str, command: Command, caplog: pytest.LogCaptureFixture) -> None:
    ran = await command("migrate", "--to", "nowhere", "--database-url", fresh_url)

    assert ran.code == 2
    assert ran.err.count("nowhere") == 1
    assert "nowhere" not in caplog.text, "what is logged stands on standard error too"
