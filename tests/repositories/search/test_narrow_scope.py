"""A few rows in a store that is full of others' nearer ones: all that were asked for, and the right ones."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np
import pytest
import sqlalchemy as sa

from database import Database
from models import EmbeddingSpace, Memory, MemoryEmbedding, Metric
from repositories import UnitOfWork
from repositories.ownership import table_of
from repositories.search import build_indexes
from tests.repositories.search.exact import Vectors, nearest, store

DIMENSIONS = 8
OWN, OTHERS, COPIES = 1_000, 500, 199

MEMORIES, VECTORS = table_of(Memory), table_of(MemoryEmbedding)
NEW_ID = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "gen_random_uuid()"}
NUMBERS = f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {COPIES})"


def copied(table: sa.Table, *, alias: str, **others: str) -> tuple[str, str]:
    """The columns of a table, and what a copy of a row has in each."""
    names = [column.name for column in table.columns if column.computed is None]
    return ", ".join(names), ", ".join(others.get(name, f"{alias}.{name}") for name in names)


async def crowd(database: Database, backend: str, query: Vectors) -> tuple[EmbeddingSpace, UUID, Sequence[UUID]]:
    """A thousand rows of Ada's, rather far, and a hundred thousand of Bob's that are nearer; her ten nearest."""
    random = np.random.default_rng(3)
    far = random.standard_normal((OWN, query.size)).astype(np.float32)
    near = query + 0.05 * random.standard_normal((OTHERS, query.size)).astype(np.float32)
    async with UnitOfWork(database) as uow:
        space = await uow.embedding_spaces.create(name="crowded", dimensions=query.size)
        persona = await uow.personas.create(name="Ada's", template="-")
        own = await store(uow.session, space, far, "ada", persona.id)
        others = await store(uow.session, space, near, "bob")
        into, values = copied(MEMORIES, alias="r", id=NEW_ID[backend], content="CAST(r.id AS text)")
        await uow.execute(
            f"INSERT INTO conversation_memory ({into}) {NUMBERS} "
            f"SELECT {values} FROM conversation_memory AS r CROSS JOIN numbers WHERE r.owner_id = 'bob'"
        )
        into, values = copied(VECTORS, alias="v", memory_id="copy.id")
        await uow.execute(
            f"INSERT INTO memory_embeddings ({into}) SELECT {values} FROM conversation_memory AS copy "
            "JOIN conversation_memory AS r ON CAST(r.id AS text) = copy.content "
            "JOIN memory_embeddings AS v ON v.memory_id = r.id"
        )
    await build_indexes(database, space)
    ids = [id for id, _ in nearest(dict(zip(own, far, strict=True)), query, Metric.COSINE, 10)]
    assert len(others) * (COPIES + 1) == 100_000
    return space, persona.id, ids


@pytest.mark.slow
async def test_ten_of_few_among_many_nearer_ones(fresh_database: Database, backend: str) -> None:
    query = np.ones(DIMENSIONS, dtype=np.float32)
    space, persona_id, wanted = await crowd(fresh_database, backend, query)
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        owned = await uow.memories.recall(query, space=space)
        both = await uow.memories.recall(query, text="unheard", space=space)
        assert [hit.id for hit in owned] == [hit.id for hit in both] == wanted
        assert owned.exact
        assert both.exact
    async with UnitOfWork(fresh_database) as uow:
        filtered = await uow.memories.recall(query, space=space, persona_id=persona_id)
        assert [hit.id for hit in filtered] == wanted
        assert filtered.exact
        assert {hit.owner_id for hit in await uow.memories.recall(query, space=space)} == {"bob"}
