"""Recall gives what numpy computes: by every metric, with every filter, in a table that holds other spaces too."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from database import Database, Session
from database.errors import InvalidInputError
from models import Conversation, EmbeddingSpace, Metric, Persona
from repositories import EmbeddingRepository, EmbeddingSpaceRepository, MemoryRepository
from repositories.memory_record import MemoryRecord
from tests.factories import ConversationFactory, PersonaFactory
from tests.repositories.search.exact import Vectors, clustered, nearest, store

COUNT, DIMENSIONS = 240, 24
START = datetime(2026, 1, 1, tzinfo=UTC)
OWNERS = ("ada", "bob", None)
TYPES = ("episodic", "semantic", "my own word")


@dataclass
class World:
    """240 memories of two owners and nobody, with vectors in a space for each metric and in a wider one."""

    spaces: dict[Metric, EmbeddingSpace]
    talks: Sequence[Conversation]
    personas: Sequence[Persona]
    memories: Sequence[MemoryRecord]
    vectors: dict[UUID, Vectors]
    queries: Sequence[Vectors]

    def expected(self, metric: Metric, query: Vectors, limit: int, **filters: Any) -> Sequence[tuple[UUID, float]]:
        seen = [memory for memory in self.memories if passes(memory, **filters)]
        return nearest({memory.id: self.vectors[memory.id] for memory in seen}, query, metric, limit)


def passes(memory: MemoryRecord, **filters: Any) -> bool:
    happened = memory.occurred_at or memory.created_at
    rules = {
        "owner_id": lambda value: memory.owner_id == value,
        "conversation_id": lambda value: memory.conversation_id == value,
        "persona_id": lambda value: memory.persona_id == value,
        "memory_type": lambda value: memory.memory_type == value,
        "min_importance": lambda value: memory.importance >= value,
        "since": lambda value: happened >= value,
        "until": lambda value: happened < value,
    }
    return all(rules[name](value) for name, value in filters.items())


@pytest.fixture
async def world(session: Session) -> World:
    spaces, memories = EmbeddingSpaceRepository(session), MemoryRepository(session)
    wide = await spaces.create(name="wide", dimensions=48)
    by_metric = {metric: await spaces.create(name=metric, dimensions=DIMENSIONS, metric=metric) for metric in Metric}
    talks = [await ConversationFactory.create(session, owner_id=owner) for owner in OWNERS for _ in range(3)]
    personas = await PersonaFactory.create_batch(3, session)
    vectors = clustered(COUNT, DIMENSIONS)
    # Equal vectors far apart: their scores tie, and their ids decide.
    vectors[-8:] = vectors[7]
    ids = await memories.remember_many(
        {
            "content": f"memory {number}",
            "conversation_id": talks[number % 11].id if number % 11 < len(talks) else None,
            "persona_id": personas[number % 4].id if number % 4 < len(personas) else None,
            "memory_type": TYPES[number % 3],
            "importance": number % 10 / 10,
            "occurred_at": START + timedelta(hours=number) if number % 5 else None,
        }
        for number in range(COUNT)
    )
    for space in by_metric.values():
        await memories.embed_many(zip(ids, vectors, strict=True), space)
    await memories.embed_many(zip(ids, np.tile(vectors, 2), strict=True), wide)
    random = np.random.default_rng(2)
    near = vectors[[7, 8]] + 0.05 * random.standard_normal((2, DIMENSIONS)).astype(np.float32)
    far = 3 * random.standard_normal((1, DIMENSIONS)).astype(np.float32)
    return World(
        by_metric,
        talks,
        personas,
        [memory async for memory in memories.stream()],
        dict(zip(ids, vectors, strict=True)),
        [*near, *far],
    )


async def check(memories: MemoryRepository, world: World, metric: Metric, limit: int = 10, **filters: Any) -> None:
    owner_id = memories.session.owner_id
    for query in world.queries:
        expected = world.expected(metric, query, limit, **filters, **({"owner_id": owner_id} if owner_id else {}))
        result = await memories.recall(query, space=world.spaces[metric], limit=limit, **filters)
        assert [hit.id for hit in result] == [id for id, _ in expected]
        assert [hit.score for hit in result] == pytest.approx([score for _, score in expected], rel=1e-4, abs=1e-5)
        assert result.exact


async def test_recall_is_what_numpy_computes(world: World, session: Session) -> None:
    for metric in Metric:
        for limit in (1, 10, 1_000):
            await check(MemoryRepository(session), world, metric, limit=limit)


async def test_ties_go_by_id(world: World, session: Session) -> None:
    ids = list(world.vectors)
    tied = sorted([ids[7], *ids[-8:]])
    query = world.vectors[ids[7]]
    for space in world.spaces.values():
        hits = await MemoryRepository(session).recall(query, space=space, limit=100)
        places = [place for place, hit in enumerate(hits) if hit.id in tied]
        assert [hits[place].id for place in places] == tied
        assert len({hits[place].score for place in places}) == 1
        assert places == list(range(places[0], places[0] + len(tied)))


async def test_every_filter_alone_and_together(world: World, session: Session) -> None:
    memories = MemoryRepository(session)
    filters: dict[str, Any] = {
        "conversation_id": world.talks[2].id,
        "persona_id": world.personas[1].id,
        "memory_type": "my own word",
        "min_importance": 0.7,
        "since": START + timedelta(hours=100),
        "until": START + timedelta(hours=110),
    }
    for name, value in filters.items():
        await check(memories, world, Metric.COSINE, **{name: value})
    pair = {name: filters[name] for name in ("persona_id", "memory_type", "min_importance")}
    await check(memories, world, Metric.L2, **pair)
    await check(memories, world, Metric.INNER_PRODUCT, limit=1_000, **pair, since=START)
    assert len(await memories.recall(world.queries[0], space=world.spaces[Metric.L2], **filters)) == 0


async def test_an_owner_recalls_its_own(world: World, database: Database) -> None:
    for owner_id in ("ada", "bob", "nobody in particular"):
        async with database.transaction(owner_id=owner_id) as session:
            await check(MemoryRepository(session), world, Metric.COSINE)
            await check(MemoryRepository(session), world, Metric.L2, min_importance=0.5)


async def test_few_rows_among_many_nearer_ones_are_all_found(database: Database, session: Session) -> None:
    space = await EmbeddingSpaceRepository(session).create(name="x", dimensions=8)
    query = np.ones(8, dtype=np.float32)
    random = np.random.default_rng(3)
    near = query + 0.01 * random.standard_normal((3_000, 8)).astype(np.float32)
    far = random.standard_normal((30, 8)).astype(np.float32)
    row = {"source_type": "x", "content": "x"}
    for owner_id, vectors, texts_too in (("bob", near, 300), ("ada", far, 30)):
        await store(session, space, vectors, owner_id)
        await EmbeddingRepository(session).create_many(
            (
                {**row, "source_id": str(number), "owner_id": owner_id, "vector": vector}
                for number, vector in enumerate(vectors[:texts_too])
            ),
            space=space,
        )
    best = sorted(float(-np.linalg.norm(query / np.linalg.norm(query) - v / np.linalg.norm(v))) for v in far)[:-11:-1]
    async with database.transaction(owner_id="ada") as hers:
        found = await MemoryRepository(hers).recall(query, space=space)
        texts = await EmbeddingRepository(hers).search(query, space=space)
    for hits in (found, texts):
        assert [-np.sqrt(max(0.0, 2 - 2 * hit.score)) for hit in hits] == pytest.approx(best, abs=1e-4)
        assert {hit.owner_id for hit in hits} == {"ada"}


async def test_a_result_is_a_sequence(world: World, session: Session) -> None:
    result = await MemoryRepository(session).recall(world.queries[0], space=world.spaces[Metric.COSINE], limit=3)
    assert len(result) == 3
    assert result[0] is next(iter(result))
    assert list(result[1:]) == [result[1], result[2]]
    assert result[0] in result
    assert result[0].score >= result[1].score >= result[2].score
    assert "memory" not in repr(result).lower().replace("recalledmemory", "")


@pytest.mark.parametrize(
    "field, values",
    [
        ("limit", {"limit": 0}),
        ("limit", {"limit": -1}),
        ("limit", {"limit": 1_001}),
        ("limit", {"limit": True}),
        ("mode", {"mode": "fast"}),
        ("since", {"since": datetime(2026, 1, 1)}),
        ("until", {"until": "yesterday"}),
        ("conversation_id", {"conversation_id": "x"}),
        ("persona_id", {"persona_id": 1}),
        ("memory_type", {"memory_type": "a\0"}),
        ("memory_type", {"memory_type": "x" * 51}),
        ("min_importance", {"min_importance": float("nan")}),
        ("min_importance", {"min_importance": 2}),
        ("vector", {"vector": [0.0] * DIMENSIONS}),
        ("vector", {"vector": [float("inf")] * DIMENSIONS}),
        ("vector", {"vector": [1.0] * (DIMENSIONS + 1)}),
        ("vector", {"vector": [[1.0] * DIMENSIONS]}),
        ("vector", {"vector": "north"}),
    ],
)
async def test_bad_input_is_refused_by_its_name(session: Session, field: str, values: dict[str, Any]) -> None:
    space = await EmbeddingSpaceRepository(session).create(name="x", dimensions=DIMENSIONS)
    with pytest.raises(InvalidInputError) as refused:
        await MemoryRepository(session).recall(**{"vector": [1.0] * DIMENSIONS, "space": space, **values})
    assert refused.value.field == field
