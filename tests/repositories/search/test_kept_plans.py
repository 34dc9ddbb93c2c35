"""On PostgreSQL a search by words and vector is planned once, and looks up few of the vectors of rows with words."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from database import Database
from models import EmbeddingSpace
from repositories import UnitOfWork
from repositories.search import build_indexes, hybrid, memories
from repositories.search.literals import index_name
from tests.repositories.search.exact import Vectors, clustered
from tests.support import on_postgresql

ROWS, DIMENSIONS, CANDIDATES, LIMIT = 300, 16, 40, 5

SCANS = "SELECT pg_stat_get_xact_numscans(to_regclass(:name))"

Ask = Callable[[UnitOfWork, dict[str, Any]], Awaitable[Any]]


async def of_memories(uow: UnitOfWork, asked: dict[str, Any]) -> Any:
    return await uow.memories.recall(limit=LIMIT, **asked)


async def of_messages(uow: UnitOfWork, asked: dict[str, Any]) -> Any:
    return await uow.messages.search(limit=LIMIT, **asked)


async def filled(database: Database, vectors: Vectors) -> tuple[EmbeddingSpace, list[Any]]:
    """Personas of very different sizes: the first has all rows but one."""
    async with UnitOfWork(database) as uow:
        space = await uow.embedding_spaces.create(name="x", dimensions=DIMENSIONS)
        personas = [await uow.personas.create(name=name, template="-") for name in ("large", "small")]
        for persona, own in zip(personas, (vectors[1:], vectors[:1]), strict=True):
            lines = [{"content": f"rainy days in Oslo {n}", "vector": vector} for n, vector in enumerate(own)]
            talk = await uow.conversations.create(title="x", persona_id=persona.id)
            await uow.messages.append_many(talk.id, [{"role": "user", **line} for line in lines], space=space)
            await uow.memories.remember_many([{"persona_id": persona.id, **line} for line in lines], space=space)
    await database.execute("ANALYZE")
    return space, [persona.id for persona in personas]


@on_postgresql
@pytest.mark.parametrize("by", ["words", "words and vector"])
async def test_the_plan_of_a_question_is_kept(fresh_database: Database, by: str) -> None:
    vectors = clustered(ROWS, DIMENSIONS)
    space, personas = await filled(fresh_database, vectors)
    async with UnitOfWork(fresh_database) as uow:
        for number in range(8):
            asked: dict[str, Any] = {"text": ("Oslo", "rainy days")[number % 2], "persona_id": personas[number % 2]}
            if by != "words":
                asked |= {"vector": vectors[number], "space": space}
            assert await of_memories(uow, asked)
        plans = await uow.fetch_value(
            "SELECT max(generic_plans) FROM pg_prepared_statements WHERE statement LIKE '%reach AS MATERIALIZED%'"
        )
    # The server compares with the plans of the first five.
    assert plans == 3


@on_postgresql
async def test_vectors_of_rows_with_words_are_looked_up_only_where_they_can_matter(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hybrid, "NARROW", 10)
    monkeypatch.setattr(memories, "NARROW", 10)
    monkeypatch.setattr(hybrid, "LEAST_CANDIDATES", CANDIDATES)
    vectors = clustered(ROWS, DIMENSIONS)
    space, _ = await filled(fresh_database, vectors)
    async with UnitOfWork(fresh_database) as uow:
        # So that each is looked up in the key, where it is counted.
        for setting in ("enable_hashjoin", "enable_mergejoin", "enable_seqscan", "enable_bitmapscan"):
            await uow.fetch_value("SELECT set_config(:setting, 'off', true)", {"setting": setting})
        asked: dict[str, Any] = {"text": "Oslo", "vector": vectors[7], "space": space}
        before = int(str(await uow.fetch_value(SCANS, {"name": "pk_memory_embeddings"})))
        found = await of_memories(uow, asked)
        scans = int(str(await uow.fetch_value(SCANS, {"name": "pk_memory_embeddings"}))) - before
        exact = await of_memories(uow, asked | {"mode": "exact"})
    assert 0 < scans < CANDIDATES < ROWS
    assert not found.exact
    assert [(hit.id, hit.score) for hit in found] == [(hit.id, hit.score) for hit in exact]


@on_postgresql
@pytest.mark.parametrize("ask", [of_memories, of_messages])
async def test_by_words_and_vector_a_wide_scope_is_read_through_the_index(
    fresh_database: Database, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hybrid, "NARROW", 10)
    monkeypatch.setattr(hybrid, "LEAST_CANDIDATES", CANDIDATES)
    vectors = clustered(1_000, DIMENSIONS)
    space, _ = await filled(fresh_database, vectors)
    await build_indexes(fresh_database, space)
    table = "memory_embeddings" if ask is of_memories else "message_embeddings"
    name = {"name": index_name(table, space.id)}
    async with UnitOfWork(fresh_database) as uow:
        before = int(str(await uow.fetch_value(SCANS, name)))
        for number in range(7):
            await ask(uow, {"text": "Oslo", "vector": vectors[number], "space": space})
        assert int(str(await uow.fetch_value(SCANS, name))) == before + 7
