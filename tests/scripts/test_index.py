"""The index command: what it says, what it builds, and that it can be run again."""

import io

import pytest
from rich.console import Console

from database import Database
from repositories import UnitOfWork
from scripts import index
from tests.scripts.conftest import Command

TABLES = ["memory_embeddings", "message_embeddings", "embeddings"]


async def space_of(url: str, dimensions: int = 3) -> None:
    async with Database(url) as database, UnitOfWork(database) as uow:
        space = await uow.embedding_spaces.create(name="small", dimensions=dimensions)
        await uow.memories.remember("x", vector=[1.0] * dimensions, space=space)


async def test_it_builds_what_can_be_built_once(fresh_url: str, backend: str, command: Command) -> None:
    await space_of(fresh_url)
    state = "ready" if backend == "postgresql" else "not needed"
    for _ in range(2):
        ran = await command("index", "small", "--database-url", fresh_url, "--json")
        assert ran.code == 0
        assert ran.data["space"] == "small"
        assert [found["table"] for found in ran.data["indexes"]] == TABLES
        assert {found["state"] for found in ran.data["indexes"]} == {state}
        assert ("exact" in ran.err) == (backend == "sqlite")


async def test_it_says_what_it_did_to_a_person(fresh_url: str, backend: str, command: Command) -> None:
    await space_of(fresh_url, dimensions=4_001)
    ran = await command("index", "small", "--database-url", fresh_url)
    assert ran.code == 0
    assert all(table in ran.out for table in TABLES)
    assert ("too wide" if backend == "postgresql" else "not needed") in ran.out
    assert "exact" in ran.err


async def test_a_space_that_is_not_there(fresh_url: str, command: Command) -> None:
    ran = await command("index", "nonsense", "--database-url", fresh_url)
    assert ran.code == 1
    assert "NotFoundError" in ran.err
    assert ran.out == ""


async def test_a_terminal_sees_a_bar(fresh_url: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    await space_of(fresh_url)
    screen = io.StringIO()
    monkeypatch.setattr(index, "err", Console(file=screen, force_terminal=True, width=100))
    ran = await command("index", "small", "--database-url", fresh_url, "--json")
    assert ran.code == 0
    built = {found["table"] for found in ran.data["indexes"] if found["state"] == "ready"}
    assert {table for table in TABLES if table in screen.getvalue()} == built
