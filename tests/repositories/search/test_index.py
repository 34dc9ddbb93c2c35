"""The index of a space: built beside the traffic, used by wide searches, never the reason that something is missing."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import numpy as np
import pytest

from database import Database
from database.errors import DuplicateError
from models import EmbeddingSpace, Metric
from repositories import UnitOfWork
from repositories.search import MEMORIES as SOURCE
from repositories.search import IndexState, VectorQuery, build_indexes, postgres
from repositories.search.literals import index_name, space_literals
from repositories.search.postgres_index import ONE_BUILDER, PLANNED_EF_SEARCH
from tests.repositories.search.exact import Vectors, clustered, nearest, store
from tests.support import PostgresCopies

DIMENSIONS = 16
STATES = {"sqlite": IndexState.NOT_NEEDED, "postgresql": IndexState.READY}


async def fill(
    database: Database, vectors: Vectors, metric: Metric = Metric.COSINE, name: str = "x", owner_id: str | None = None
) -> tuple[EmbeddingSpace, Sequence[UUID]]:
    async with UnitOfWork(database) as uow:
        space = await uow.embedding_spaces.create(name=name, dimensions=vectors.shape[1], metric=metric)
        return space, await store(uow.session, space, vectors, owner_id)


@pytest.mark.parametrize("metric", Metric)
async def test_the_same_answers_with_an_index(fresh_database: Database, backend: str, metric: Metric) -> None:
    vectors = clustered(1_000, DIMENSIONS)
    space, ids = await fill(fresh_database, vectors, metric=metric)
    async with fresh_database.transaction() as session:
        own = await store(session, space, clustered(30, DIMENSIONS, seed=9), "ada")
    async with UnitOfWork(fresh_database) as uow:
        states = {index.state for index in await uow.embedding_spaces.indexes(space)}
        assert states == {IndexState.MISSING if backend == "postgresql" else IndexState.NOT_NEEDED}
        first = await uow.memories.recall(vectors[0], space=space, mode="approximate")
        assert first.exact == (backend == "postgresql" or metric is not Metric.COSINE)
    seen: list[tuple[str, float]] = []
    built = await build_indexes(fresh_database, space, lambda table, part: seen.append((table, part)))
    assert [index.table for index in built] == ["memory_embeddings", "message_embeddings", "embeddings"]
    assert {index.state for index in built} == {STATES[backend]}
    assert {part for _, part in seen if part == 1.0} == ({1.0} if backend == "postgresql" else set())
    assert await build_indexes(fresh_database, space) == built

    everything = dict(zip([*ids, *own], np.vstack([vectors, clustered(30, DIMENSIONS, seed=9)]), strict=True))
    queries = vectors[:8] + np.float32(0.01)
    found = 0
    async with UnitOfWork(fresh_database) as uow:
        for query in queries:
            expected = [id for id, _ in nearest(everything, query, metric, 10)]
            wide = await uow.memories.recall(query, space=space)
            assert wide.exact == (backend == "sqlite")
            found += len({hit.id for hit in wide} & set(expected))
            exact = await uow.memories.recall(query, space=space, mode="exact")
            assert exact.exact
            assert [hit.id for hit in exact] == expected
            filtered = await uow.memories.recall(query, space=space, min_importance=0.1)
            assert filtered.exact
            assert [hit.id for hit in filtered] == expected
            assert len(await uow.embeddings.search(query, space=space)) == 0
    assert found >= 0.98 * 10 * len(queries)
    hers = dict(zip(own, clustered(30, DIMENSIONS, seed=9), strict=True))
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        for query in queries:
            expected = [id for id, _ in nearest(hers, query, metric, 10)]
            owned = await uow.memories.recall(query, space=space)
            assert owned.exact
            assert [hit.id for hit in owned] == expected
            forced = await uow.memories.recall(query, space=space, mode="approximate")
            assert len(forced) == 10
            assert {hit.owner_id for hit in forced} == {"ada"}


@pytest.mark.slow
async def test_a_narrow_scope_that_is_forced_through_the_index_is_whole(fresh_database: Database, backend: str) -> None:
    query = np.ones(DIMENSIONS, dtype=np.float32)
    random = np.random.default_rng(3)
    near = query + 0.01 * random.standard_normal((3_000, DIMENSIONS)).astype(np.float32)
    far = random.standard_normal((30, DIMENSIONS)).astype(np.float32)
    space, _ = await fill(fresh_database, near, owner_id="bob")
    async with fresh_database.transaction() as session:
        own = await store(session, space, far, "ada")
    await build_indexes(fresh_database, space)
    hers = [id for id, _ in nearest(dict(zip(own, far, strict=True)), query, Metric.COSINE, 30)]
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        if backend == "postgresql":
            # So that the planner goes through the index, which gives up long before it has met thirty of hers.
            for setting in ("enable_sort", "enable_hashjoin", "enable_bitmapscan"):
                await uow.fetch_value("SELECT set_config(:setting, 'off', true)", {"setting": setting})
        assert [hit.id for hit in await uow.memories.recall(query, space=space)] == hers[:10]
        whole = await uow.memories.recall(query, space=space, limit=31, mode="approximate")
        assert [hit.id for hit in whole] == hers
        assert whole.exact


async def test_a_write_after_the_build_is_found(fresh_database: Database, backend: str) -> None:
    space, ids = await fill(fresh_database, clustered(500, DIMENSIONS))
    await build_indexes(fresh_database, space)
    query = np.full(DIMENSIONS, 5, dtype=np.float32)
    async with UnitOfWork(fresh_database) as uow:
        new = await uow.memories.remember("new", vector=query, space=space)
        await uow.memories.embed(ids[3], query * 2, space)
        await uow.memories.forget(memory_type="nothing")
        assert [hit.id for hit in await uow.memories.recall(query, space=space, limit=2)] == sorted([new.id, ids[3]])
        await uow.memories.delete(new.id)
        assert (await uow.memories.recall(query, space=space))[0].id == ids[3]


async def test_an_unfinished_index_is_built_again(fresh_database: Database, backend: str) -> None:
    space, _ = await fill(fresh_database, clustered(300, DIMENSIONS))
    if backend == "postgresql":
        # As a killed build does, a failed one leaves an index that is not valid: this one finds duplicates.
        name = index_name("memory_embeddings", space.id)
        async with fresh_database.autocommit() as connection:
            with pytest.raises(DuplicateError):
                await connection.exec_driver_sql(
                    f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON memory_embeddings (embedding_space_id)"
                )
        async with UnitOfWork(fresh_database) as uow:
            state = (await uow.embedding_spaces.indexes(space))[0].state
            assert state is IndexState.UNFINISHED
            assert (await uow.memories.recall(np.ones(DIMENSIONS), space=space)).exact
    assert {index.state for index in await build_indexes(fresh_database, space)} == {STATES[backend]}


@pytest.mark.slow
async def test_two_build_at_once_while_others_write(fresh_database: Database, backend: str) -> None:
    space, _ = await fill(fresh_database, clustered(1_000, DIMENSIONS))

    async def write() -> None:
        for vector in clustered(30, DIMENSIONS, seed=4):
            async with UnitOfWork(fresh_database) as uow:
                await uow.memories.remember("meanwhile", vector=vector, space=space)

    one, two, _ = await asyncio.gather(
        build_indexes(fresh_database, space), build_indexes(fresh_database, space), write()
    )
    assert one == two
    assert {index.state for index in one} == {STATES[backend]}


async def test_a_build_that_is_cancelled_leaves_nothing_behind(fresh_database: Database, backend: str) -> None:
    space, _ = await fill(fresh_database, clustered(100, DIMENSIONS))
    async with fresh_database.autocommit() as connection:
        if backend == "postgresql":
            # Another process builds, so this one waits.
            await connection.exec_driver_sql(f"SELECT pg_advisory_lock({ONE_BUILDER})")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(build_indexes(fresh_database, space), timeout=0.2)
            await connection.exec_driver_sql(f"SELECT pg_advisory_unlock({ONE_BUILDER})")
    assert {index.state for index in await build_indexes(fresh_database, space)} == {STATES[backend]}
    if backend == "postgresql":
        assert await fresh_database.fetch_value("SHOW statement_timeout") == "30s"
        assert await fresh_database.fetch_value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_wide_spaces_stay_exact(fresh_database: Database, backend: str) -> None:
    space, ids = await fill(fresh_database, clustered(20, 4_001))
    built = await build_indexes(fresh_database, space)
    wanted = IndexState.TOO_WIDE if backend == "postgresql" else IndexState.NOT_NEEDED
    assert {index.state for index in built} == {wanted}
    async with UnitOfWork(fresh_database) as uow:
        result = await uow.memories.recall(clustered(20, 4_001)[4], space=space, limit=1)
    assert result.exact
    assert result[0].id == ids[4]


async def test_the_index_goes_with_its_space(fresh_database: Database, backend: str) -> None:
    spaces = [(await fill(fresh_database, clustered(20, DIMENSIONS), name=name))[0] for name in ("gone", "kept")]
    for space in spaces:
        await build_indexes(fresh_database, space)
    async with UnitOfWork(fresh_database) as uow:
        assert await uow.embedding_spaces.delete(spaces[0].id)
    async with UnitOfWork(fresh_database) as uow:
        gone, kept = [{index.state for index in await uow.embedding_spaces.indexes(space)} for space in spaces]
        assert kept == {STATES[backend]}
        assert gone == {IndexState.MISSING if backend == "postgresql" else IndexState.NOT_NEEDED}
        assert len(await uow.memories.recall(np.ones(DIMENSIONS), space=spaces[1])) == 10


async def test_the_plan_uses_the_index_at_every_execution(postgres_copies: PostgresCopies) -> None:
    url = await postgres_copies.migrated()
    async with Database(url) as database:
        # So few that the planner would rather read them all, if it knew how widely the index is searched.
        vectors = clustered(1_000, DIMENSIONS)
        space, _ = await fill(database, vectors)
        await fill(database, vectors, name="another")
        await build_indexes(database, space)
        name = index_name("memory_embeddings", space.id)
        query = VectorQuery(SOURCE, space, vectors[0], 10, {})
        approximate, values = postgres.approximate_sql(query), {"vector": vectors[0], "limit": 10, "candidates": 100}
        bound = approximate.replace(space_literals(space)[0], "CAST(:space AS uuid)")

        async def scans(uow: UnitOfWork) -> int:
            # Of this unit, and of those before it that the server has not added up yet.
            return int(str(await uow.fetch_value("SELECT pg_stat_get_xact_numscans(to_regclass(:n))", {"n": name})))

        async def plan_as(uow: UnitOfWork, mode: str) -> None:
            await uow.fetch_value("SELECT set_config('plan_cache_mode', :mode, true)", {"mode": mode})

        for plan_cache_mode in ("auto", "force_custom_plan", "force_generic_plan"):
            async with UnitOfWork(database) as uow:
                await plan_as(uow, plan_cache_mode)
                before = await scans(uow)
                for _ in range(12):
                    assert not (await uow.memories.recall(vectors[0], space=space)).exact
                assert await scans(uow) == before + 12
        async with UnitOfWork(database) as uow:
            # What the literals are for: a plan for any space cannot use the index of one.
            await plan_as(uow, "force_generic_plan")
            before = await scans(uow)
            await uow.fetch_all(bound, values | {"space": space.id})
            assert await scans(uow) == before
            await uow.fetch_value("SELECT set_config('hnsw.ef_search', :least, true)", {"least": PLANNED_EF_SEARCH})
            assert name in await explain(uow, approximate, values)
            exact = await explain(uow, postgres.exact_sql(query), {"vector": vectors[0], "limit": 10})
            assert "ix_hnsw" not in exact
    await postgres_copies.drop(url)


async def explain(uow: UnitOfWork, sql: str, values: dict[str, object]) -> str:
    rows = await uow.fetch_all(f"EXPLAIN {sql}", values)
    return "\n".join(str(row["QUERY PLAN"]) for row in rows)


def test_the_literals_of_a_space_are_a_uuid_and_an_int() -> None:
    space = EmbeddingSpace(name="x", dimensions=384)
    assert space_literals(space) == (f"'{space.id}'", "halfvec(384)")
    for field, value in {"id": "x' OR true --", "dimensions": "3) --"}.items():
        forged = EmbeddingSpace(name="x", dimensions=3)
        forged.__dict__[field] = value
        with pytest.raises(ValueError):
            space_literals(forged)
    with pytest.raises(ValueError):
        index_name("embeddings", "x; DROP TABLE messages")  # type: ignore[arg-type]  # that it is wrong is the point
