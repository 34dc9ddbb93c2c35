"""The reembed command: what it fills, that a kill loses one batch at most, and the change from space to space."""

import io
import os
import signal
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from database import Database
from repositories import UnitOfWork, reembed
from scripts import reembed as the_command
from scripts.embedder import HashedEmbedder
from tests.processes import in_processes
from tests.scripts.conftest import Command

TEXTS = 1_001


async def old_space(url: str, texts: int = 3) -> None:
    """The active space `old` with the vectors of some messages and memories, and one memory that has none."""
    embedder = HashedEmbedder(3)
    async with Database(url) as database, UnitOfWork(database) as uow:
        space = await uow.embedding_spaces.create(name="old", dimensions=3)
        await uow.embedding_spaces.activate(space.id)
        talk = await uow.conversations.create(title="x")
        rows: list[dict[str, object]] = [{"role": "user", "content": f"text {number}"} for number in range(texts)]
        await uow.messages.append_many(talk.id, rows, embedder=embedder, space=space)
        await uow.memories.remember("a fact", embedder=embedder, space=space)
        await uow.memories.remember("without a vector")


async def vectors_in(url: str, name: str) -> int:
    counted = 0
    async with Database(url) as database, UnitOfWork(database) as uow:
        space = await uow.embedding_spaces.get_by_name(name)
        for table in ("message_embeddings", "memory_embeddings"):
            counting = f"SELECT count(*) FROM {table} WHERE embedding_space_id = :id"
            found = await uow.fetch_value(counting, {"id": space.id})
            assert isinstance(found, int)
            counted += found
    return counted


async def test_it_fills_another_space_once(fresh_url: str, command: Command) -> None:
    await old_space(fresh_url)
    first = await command("reembed", "--to", "new", "--dimensions", 8, "--database-url", fresh_url, "--json")
    assert first.code == 0, first.err
    expected = {
        "to": "new",
        "from": "old",
        "embedder": "hashed-ngrams-v1-8",
        "dimensions": 8,
        "created": True,
        "messages": 3,
        "memories": 1,
        "embeddings": 0,
        "activated": False,
        "dropped": False,
    }
    assert first.data == expected
    again = await command("reembed", "--to", "new", "--database-url", fresh_url, "--json")
    assert again.data == expected | {"created": False, "messages": 0, "memories": 0}
    every = await command("reembed", "--to", "new", "--all", "--database-url", fresh_url)
    assert every.code == 0
    assert "every text" in every.out
    assert await vectors_in(fresh_url, "new") == 5
    assert await vectors_in(fresh_url, "old") == 4


async def kill_at_the_second_batch(url: str) -> None:
    class Dying(HashedEmbedder):
        calls = 0

        async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            self.calls += 1
            if self.calls == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return await super().embed(texts)

    async with Database(url) as database:
        async with UnitOfWork(database) as uow:
            old = await uow.embedding_spaces.active()
            new = await uow.embedding_spaces.create(name="new", dimensions=8)
        await reembed(database, Dying(8), new, source=old)


@pytest.mark.slow
async def test_after_a_kill_it_goes_on(fresh_url: str, command: Command) -> None:
    await old_space(fresh_url, TEXTS)
    with pytest.raises(BrokenProcessPool):
        await in_processes(kill_at_the_second_batch, [(fresh_url,)])
    assert await vectors_in(fresh_url, "new") == 500
    async with Database(fresh_url) as database, UnitOfWork(database) as uow:
        assert len(await uow.memories.recall([1.0, 0.0, 0.0])) == 1
        new = await uow.embedding_spaces.get_by_name("new")
        assert len(await uow.memories.recall([1.0] * 8, space=new)) == 0
    ran = await command("reembed", "--to", "new", "--database-url", fresh_url, "--json")
    assert (ran.data["messages"], ran.data["memories"]) == (TEXTS - 500, 1)
    assert await vectors_in(fresh_url, "new") == TEXTS + 1


async def test_it_changes_from_one_space_to_the_other(fresh_url: str, command: Command) -> None:
    await old_space(fresh_url)
    filled = await command("reembed", "--to", "new", "--dimensions", 8, "--database-url", fresh_url, "--json")
    assert filled.code == 0
    demo = ("reembed", "--to", "new", "--embedder", "demo", "--database-url", fresh_url, "--json")
    early = await command(*demo, "--drop-old")
    assert (early.code, early.out) == (2, "")
    assert "--activate" in early.err
    ran = await command(*demo, "--activate")
    assert (ran.data["activated"], ran.data["dropped"]) == (True, False)
    async with Database(fresh_url) as database, UnitOfWork(database) as uow:
        assert {space.name: space.status.value for space in await uow.embedding_spaces.page()} == {
            "old": "retired",
            "new": "active",
        }
        # What an older process still writes is not lost with its space.
        old = await uow.embedding_spaces.get_by_name("old")
        await uow.memories.remember("late", vector=[1.0, 0.0, 0.0], space=old)
    ran = await command(*demo, "--from", "old", "--drop-old")
    assert (ran.data["memories"], ran.data["dropped"]) == (1, True)
    async with Database(fresh_url) as database, UnitOfWork(database) as uow:
        assert [space.name for space in await uow.embedding_spaces.page()] == ["new"]
        assert {hit.content for hit in await uow.memories.recall([1.0] * 8)} == {"a fact", "late"}


async def test_all_at_once(fresh_url: str, command: Command) -> None:
    await old_space(fresh_url)
    options = ("--embedder", "demo", "--dimensions", 8, "--activate", "--drop-old")
    ran = await command("reembed", "--to", "new", *options, "--database-url", fresh_url)
    assert ran.code == 0, ran.err
    assert "made, active, old one dropped" in ran.out
    assert await vectors_in(fresh_url, "new") == 4


@pytest.mark.parametrize(
    "options, words",
    [
        (["--to", "old"], "--from"),
        (["--to", "old", "--from", "old"], "--from"),
        (["--to", "new", "--all", "--from", "old"], "--all"),
        (["--to", "new", "--all", "--drop-old", "--embedder", "demo"], "--drop-old"),
        (["--to", "new", "--activate"], "--embedder"),
        (["--to", "new", "--embedder", "demo:x"], "demo|openai"),
        (["--to", "new", "--embedder", "openai"], "demo|openai"),
        (["--to", "new", "--embedder", "openai:small"], "--dimensions"),
        (["--to", "old", "--all", "--dimensions", "4"], "--dimensions"),
        (["--to", "new", "--dimensions", "3", "--embedder", "openai:small"], "OPENAI_API_KEY"),
        (["--to", "new"], None),
    ],
)
async def test_wrong_usage(
    fresh_url: str, command: Command, options: Sequence[str], words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    await old_space(fresh_url)
    ran = await command("reembed", *options, "--database-url", fresh_url)
    assert ran.code == (0 if words is None else 2)
    assert words is None or words in ran.err


async def test_a_space_that_is_not_there(fresh_url: str, command: Command) -> None:
    ran = await command("reembed", "--to", "new", "--from", "nonsense", "--database-url", fresh_url)
    assert (ran.code, ran.out) == (1, "")
    assert "NotFoundError" in ran.err


async def test_an_endpoint_that_does_not_answer(
    fresh_url: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-geheim")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    await old_space(fresh_url)
    options = ("--to", "new", "--embedder", "openai:small", "--dimensions", 8, "--database-url", fresh_url)
    ran = await command("reembed", *options)
    assert (ran.code, ran.out) == (1, "")
    assert "APIConnectionError" in ran.err
    assert "run it again" in ran.err
    assert "geheim" not in ran.err
    assert "text 0" not in ran.err


async def test_a_terminal_sees_a_bar(fresh_url: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    await old_space(fresh_url)
    screen = io.StringIO()
    monkeypatch.setattr(the_command, "err", Console(file=screen, force_terminal=True, width=100))
    ran = await command("reembed", "--to", "new", "--database-url", fresh_url, "--json")
    assert ran.code == 0
    assert "messages" in screen.getvalue()
    assert "3/3" in screen.getvalue()
