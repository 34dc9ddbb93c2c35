"""Reembedding: each text gets its vector in the other space once, whatever happens meanwhile."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from uuid import UUID

import pytest

from database import Database
from database.errors import InvalidInputError
from models import EmbeddingSpace
from models.values import VectorLike
from repositories import Reembedded, UnitOfWork, reembed, reembedding
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

EAST, NORTH = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]


class Lengths:
    """The length of a text in its first number; `meanwhile` is done before each answer."""

    name = "lengths-1"
    dimensions = 2

    def __init__(self, meanwhile: Callable[[int], Awaitable[object]] | None = None) -> None:
        self.calls: list[list[str]] = []
        self._meanwhile = meanwhile

    async def embed(self, texts: Sequence[str]) -> Sequence[VectorLike]:
        self.calls.append(list(texts))
        if self._meanwhile is not None:
            await self._meanwhile(len(self.calls))
        return [[float(len(text)), 1.0] for text in texts]


Spaces = tuple[EmbeddingSpace, EmbeddingSpace]


@pytest.fixture
async def spaces(fresh_database: Database, monkeypatch: pytest.MonkeyPatch) -> Spaces:
    """An old one that is active and a new one; batches of two."""
    monkeypatch.setattr(reembedding, "BATCH", 2)
    async with UnitOfWork(fresh_database) as uow:
        old = await uow.embedding_spaces.create(name="old", dimensions=3)
        new = await uow.embedding_spaces.create(name="new", dimensions=2)
        return await uow.embedding_spaces.activate(old.id), new


async def store(database: Database, old: EmbeddingSpace) -> UUID:
    """Three messages, three memories and three chunks with vectors, of two owners; one of each without or empty."""
    async with UnitOfWork(database) as uow:
        talk = await uow.conversations.create(title="x", owner_id="ada")
        said: list[dict[str, object]] = [
            {"role": "user", "content": "m" * length, "vector": EAST} for length in range(1, 4)
        ]
        await uow.messages.append_many(talk.id, [*said, {"role": "user", "content": "without"}], space=old)
        await uow.messages.append(talk.id, role="assistant", content="", vector=EAST, space=old)
        kept: list[dict[str, object]] = [{"content": "f" * length, "vector": NORTH} for length in range(1, 4)]
        await uow.memories.remember_many([*kept, {"content": "without"}], space=old)
        for owner in ("ada", None):
            chunk = {"source_type": "page", "source_id": "p", "vector": EAST, "extra_data": {"n": 1}}
            for number in range(2):
                await uow.embeddings.create_many(
                    [{**chunk, "chunk": number, "owner_id": owner, "content": f"{owner} {number}"}], space=old
                )
    return talk.id


async def test_each_text_gets_its_vector_once(fresh_database: Database, spaces: Spaces) -> None:
    old, new = spaces
    await store(fresh_database, old)
    heard: list[tuple[str, int, int]] = []
    embedder = Lengths()
    done = await reembed(fresh_database, embedder, new, source=old, progress=lambda *moved: heard.append(moved))
    assert done == Reembedded(messages=3, memories=3, embeddings=4)
    assert [len(call) for call in embedder.calls] == [2, 1, 2, 1, 2, 2]
    assert heard == [
        ("messages", 2, 3),
        ("messages", 3, 3),
        ("conversation_memory", 2, 3),
        ("conversation_memory", 3, 3),
        ("embeddings", 2, 4),
        ("embeddings", 4, 4),
    ]
    async with UnitOfWork(fresh_database) as uow:
        for space, query, chunks in ((old, NORTH, 4), (new, [3.0, 1.0], 4)):
            found = await uow.memories.recall(query, space=space)
            assert {hit.content for hit in found} == {"f", "ff", "fff"}
            hits = await uow.embeddings.search(EAST[: space.dimensions], space=space, metadata={"n": 1})
            assert len(hits) == chunks
            assert {hit.owner_id for hit in hits} == {"ada", None}
        nearest = await uow.memories.recall([3.0, 1.0], space=new, limit=1)
        assert [hit.content for hit in nearest] == ["fff"]
    again = Lengths()
    assert await reembed(fresh_database, again, new, source=old) == Reembedded(0, 0, 0)
    assert again.calls == []


async def test_every_text_without_a_source(fresh_database: Database, spaces: Spaces) -> None:
    old, new = spaces
    await store(fresh_database, old)
    assert await reembed(fresh_database, Lengths(), new) == Reembedded(messages=4, memories=4, embeddings=0)
    with pytest.raises(InvalidInputError) as refused:
        await reembed(fresh_database, Lengths(), new, source=new)
    assert refused.value.field == "source"
    with pytest.raises(InvalidInputError) as refused:
        await reembed(fresh_database, Lengths(), old)
    assert refused.value.field == "space"


async def test_it_goes_on_where_it_stopped_with_both_spaces_searched(fresh_database: Database, spaces: Spaces) -> None:
    old, new = spaces
    await store(fresh_database, old)

    async def fail(call: int) -> None:
        if call == 4:
            raise ConnectionError

    first = Lengths(fail)
    with pytest.raises(ConnectionError):
        await reembed(fresh_database, first, new, source=old)
    async with UnitOfWork(fresh_database) as uow:
        assert {hit.content for hit in await uow.memories.recall([1.0, 1.0], space=new)} == {"f", "ff"}
        assert len(await uow.memories.recall(NORTH)) == 3
    second = Lengths()
    assert await reembed(fresh_database, second, new, source=old) == Reembedded(0, 1, 4)
    assert second.calls[0] == ["fff"]


async def test_a_batch_is_read_by_one_statement(fresh_database: Database, spaces: Spaces, statements: Counted) -> None:
    old, new = spaces
    await store(fresh_database, old)
    with statements() as seen:
        await reembed(fresh_database, Lengths(), new, source=old)
    reads = [text for text in seen if text.startswith("SELECT") and "LIMIT" in text]
    # Of each table two batches, the end, and a look at the whole again.
    assert len(reads) == 3 * 4


async def test_what_changes_meanwhile(fresh_database: Database, spaces: Spaces) -> None:
    """Edited, deleted, written to the new space by somebody else, or new: none gets a vector of another text."""
    old, new = spaces
    async with UnitOfWork(fresh_database) as uow:
        ids = await uow.memories.remember_many(
            [{"content": text, "vector": NORTH} for text in ("edited", "deleted", "theirs", "same")], space=old
        )

    async def change(call: int) -> None:
        async with UnitOfWork(fresh_database) as uow:
            if call == 1:
                await uow.memories.update(ids[0], content="longer than before")
                await uow.memories.delete(ids[1])
            if call == 2:
                await uow.memories.embed(ids[2], [-1.0, 0.0], new)
                await uow.memories.remember("came", vector=NORTH, space=old)

    embedder = Lengths(change)
    done = await reembed(fresh_database, embedder, new, source=old)
    assert done.memories == 3
    assert embedder.calls == [["edited", "deleted"], ["theirs", "same"], ["came"], ["longer than before"]]
    async with UnitOfWork(fresh_database) as uow:
        scores = {hit.content: hit.score for hit in await uow.memories.recall([18.0, 1.0], space=new)}
    assert scores.keys() == {"longer than before", "theirs", "same", "came"}
    assert scores["longer than before"] == pytest.approx(1.0)
    assert scores["theirs"] < 0, "what somebody else wrote stays"


async def test_the_old_one_is_retired_and_dropped(fresh_database: Database, spaces: Spaces) -> None:
    old, new = spaces
    await store(fresh_database, old)
    await reembed(fresh_database, Lengths(), new, source=old)
    async with UnitOfWork(fresh_database) as uow:
        await uow.embedding_spaces.activate(new.id)
        assert (await uow.embedding_spaces.get(old.id)).status == "retired"
    async with UnitOfWork(fresh_database) as uow:
        await uow.embedding_spaces.delete(old.id)
        assert len(await uow.memories.recall([3.0, 1.0])) == 3
        for vectors, number in (("message_embeddings", 3), ("memory_embeddings", 3), ("embeddings", 4)):
            assert await uow.fetch_value(f"SELECT count(*) FROM {vectors}") == number
