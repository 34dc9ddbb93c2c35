"""By words and vector a scope behind a filter goes through the index only where it is wide: the index misses what is
far from the crowd that it entered."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from uuid import UUID

import pytest

from database import Database
from models import EmbeddingSpace
from repositories import UnitOfWork
from repositories.search import build_indexes, hybrid, postgres_index, postgres_memories, postgres_messages
from tests.repositories.search.exact import Vectors, clustered
from tests.support import Statements, on_postgresql

ROWS, DIMENSIONS = 60, 16

CountStatements = Callable[[], AbstractContextManager[Statements]]
Ask = Callable[[UnitOfWork, UUID, Vectors, EmbeddingSpace], Awaitable[object]]


async def memories(uow: UnitOfWork, persona_id: UUID, vector: Vectors, space: EmbeddingSpace) -> object:
    return await uow.memories.recall(vector, text="Oslo", persona_id=persona_id, space=space)


async def messages(uow: UnitOfWork, persona_id: UUID, vector: Vectors, space: EmbeddingSpace) -> object:
    return await uow.messages.search("Oslo", vector=vector, persona_id=persona_id, space=space)


@pytest.fixture(autouse=True)
def built_anew() -> Iterator[None]:
    """What is kept for each form of a question has the bounds in it."""

    def forget() -> None:
        for kept in (postgres_index._if_ready, postgres_memories._scope, postgres_messages._scope):
            kept.cache_clear()

    forget()
    yield
    forget()


@on_postgresql
@pytest.mark.parametrize("ask", [memories, messages], ids=["memories", "messages"])
@pytest.mark.parametrize(("middling", "through_index"), [(ROWS, False), (ROWS - 1, True)])
async def test_only_a_wide_scope_is_read_through_the_index(
    fresh_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    statements: CountStatements,
    ask: Ask,
    middling: int,
    through_index: bool,
) -> None:
    monkeypatch.setattr(hybrid, "NARROW", 10)
    for module in (postgres_index, postgres_memories):
        monkeypatch.setattr(module, "MIDDLING", middling)
    vectors = clustered(ROWS, DIMENSIONS)
    async with UnitOfWork(fresh_database) as uow:
        space = await uow.embedding_spaces.create(name="x", dimensions=DIMENSIONS)
        persona = await uow.personas.create(name="x", template="-")
        talk = await uow.conversations.create(title="x", persona_id=persona.id)
        lines = [{"role": "user", "content": f"Oslo {n}", "vector": vector} for n, vector in enumerate(vectors)]
        await uow.messages.append_many(talk.id, lines, space=space)
        await uow.memories.remember_many(
            ({"content": line["content"], "persona_id": persona.id, "vector": line["vector"]} for line in lines),
            space=space,
        )
    await build_indexes(fresh_database, space)
    async with UnitOfWork(fresh_database) as uow:
        with statements() as seen:
            await ask(uow, persona.id, vectors[0], space)
    assert any("halfvec" in statement for statement in seen) is through_index
