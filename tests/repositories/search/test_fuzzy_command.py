"""`index --fuzzy`: the index comes and goes by the command."""

import pytest

from database import Database
from repositories import UnitOfWork
from tests.scripts.conftest import Command, command

__all__ = ["command"]


async def test_it_builds_and_drops(fresh_url: str, command: Command) -> None:
    async with Database(fresh_url) as database, UnitOfWork(database) as uow:
        await uow.personas.create(name="Melanie", template="t")
    ran = await command("index", "--fuzzy", "--database-url", fresh_url, "--json")
    assert ran.code == 0
    assert ran.data["space"] is None
    assert [found["table"] for found in ran.data["indexes"]] == ["personas", "conversations", "messages"]
    assert {found["state"] for found in ran.data["indexes"]} == {"ready"}
    async with Database(fresh_url) as database, UnitOfWork(database) as uow:
        assert [hit.row.name for hit in await uow.personas.similar("melani")] == ["Melanie"]
    ran = await command("index", "--fuzzy", "--drop", "--database-url", fresh_url, "--json")
    assert (ran.code, ran.data["indexes"]) == (0, [])


@pytest.mark.parametrize("arguments", [(), ("small", "--fuzzy"), ("small", "--drop"), ("--drop",)])
async def test_it_is_a_space_or_fuzzy(command: Command, arguments: tuple[str, ...]) -> None:
    ran = await command("index", *arguments, "--database-url", "sqlite:///:memory:")
    assert ran.code == 2
    assert "--fuzzy" in ran.err
