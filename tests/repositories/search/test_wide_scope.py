"""A scope behind a filter is counted, no further than it takes: a wide one is answered by the index of its space."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from database import Database
from models import Metric
from repositories import UnitOfWork
from repositories.search import build_indexes, postgres
from tests.repositories.search.exact import Vectors, clustered, nearest, store
from tests.support import Statements

DIMENSIONS = 16

CountStatements = Callable[[], AbstractContextManager[Statements]]


async def test_a_wide_scope_goes_through_the_index_and_a_narrow_one_does_not(
    fresh_database: Database, backend: str, monkeypatch: pytest.MonkeyPatch, statements: CountStatements
) -> None:
    monkeypatch.setattr(postgres, "NARROW", 500)
    vectors = clustered(1_000, DIMENSIONS)
    async with UnitOfWork(fresh_database) as uow:
        space = await uow.embedding_spaces.create(name="x", dimensions=DIMENSIONS)
    async with fresh_database.transaction() as session:
        ids = await store(session, space, vectors, "ada")
        await store(session, space, clustered(500, DIMENSIONS, seed=9), "bob")
    everything = dict(zip(ids, vectors, strict=True))
    far = -clustered(1, DIMENSIONS, clusters=1)[0]

    async def ask(owner_id: str, query: Vectors, number: int, exact: bool) -> None:
        async with UnitOfWork(fresh_database, owner_id=owner_id) as uow:
            with statements() as seen:
                found = await uow.memories.recall(query, space=space)
            assert len(found) == 10
            assert {hit.owner_id for hit in found} == {owner_id}
            if backend == "postgresql":
                assert len(seen) == number
                assert found.exact is exact
            if owner_id == "ada":
                wanted = {id for id, _ in nearest(everything, query, Metric.COSINE, 10)}
                assert len({hit.id for hit in found} & wanted) >= 9

    await ask("ada", vectors[0], 2, exact=True)
    await build_indexes(fresh_database, space)
    await ask("ada", vectors[0], 2, exact=False)
    await ask("ada", far, 2, exact=False)
    await ask("bob", vectors[0], 1, exact=True)
    async with UnitOfWork(fresh_database, owner_id="carol") as uow:
        assert (await uow.memories.recall(vectors[0], space=space)).hits == ()
    # More candidates than the scope has: asked again, exactly.
    monkeypatch.setattr(postgres, "LEAST_CANDIDATES", 1_001)
    await ask("ada", vectors[0], 3, exact=True)
