"""Embedding spaces: one is active, their meaning does not change, they go with their vectors; owners only read."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID, uuid4

import pytest

from database import Database, Session
from database.errors import DuplicateError, InvalidInputError, NotFoundError, ReadOnlyError
from models import Metric, SpaceStatus
from repositories import EmbeddingRepository, EmbeddingSpaceRepository, MemoryRepository, UnitOfWork
from tests.factories import (
    EmbeddingFactory,
    EmbeddingSpaceFactory,
    MemoryEmbeddingFactory,
    MessageEmbeddingFactory,
)
from tests.support import LOCK_WAITS, Statements

Counted = Callable[[], AbstractContextManager[Statements]]


@pytest.fixture
def spaces(session: Session) -> EmbeddingSpaceRepository:
    return EmbeddingSpaceRepository(session)


async def test_create_and_find(spaces: EmbeddingSpaceRepository, session: Session) -> None:
    space = await spaces.create(name="small-2", dimensions=384, metric="l2")
    assert (space.dimensions, space.metric, space.status) == (384, Metric.L2, SpaceStatus.BUILDING)
    assert await spaces.get_by_name("small-2") is space
    assert (await spaces.create(name="large", dimensions=16_000)).metric is Metric.COSINE
    with pytest.raises(NotFoundError) as missing:
        await spaces.get_by_name("nonsense")
    assert missing.value.key == "nonsense"
    with pytest.raises(DuplicateError):
        async with session.nested():
            await spaces.create(name="small-2", dimensions=3)
    assert await spaces.count() == 2


@pytest.mark.parametrize(
    "field, values",
    [
        ("dimensions", {"name": "x", "dimensions": 0}),
        ("dimensions", {"name": "x", "dimensions": 16_001}),
        ("metric", {"name": "x", "dimensions": 3, "metric": "manhattan"}),
        ("name", {"name": "x" * 256, "dimensions": 3}),
    ],
)
async def test_bad_input_is_refused_by_its_name(
    spaces: EmbeddingSpaceRepository, field: str, values: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await spaces.create(**values)
    assert refused.value.field == field


async def test_one_is_active_at_a_time(spaces: EmbeddingSpaceRepository, statements: Counted) -> None:
    assert await spaces.active() is None
    one, two = [await spaces.create(name=name, dimensions=3) for name in ("one", "two")]
    assert (await spaces.activate(one.id)).status is SpaceStatus.ACTIVE
    with statements() as seen:
        assert await spaces.activate(two.id) is two
    assert len(seen) == 3
    assert await spaces.active() is two
    assert (await spaces.get(one.id)).status is SpaceStatus.RETIRED
    again = await spaces.activate(two.id)
    assert again.status is SpaceStatus.ACTIVE
    assert [space.id for space in await spaces.page(status="active")] == [two.id]
    await spaces.retire(two.id)
    assert await spaces.active() is None


async def test_activating_none_retires_none(spaces: EmbeddingSpaceRepository) -> None:
    space = await spaces.create(name="x", dimensions=3)
    await spaces.activate(space.id)
    for call in (spaces.activate, spaces.retire):
        with pytest.raises(NotFoundError):
            await call(uuid4())
    active = await spaces.active()
    assert active is not None
    assert active.id == space.id


async def test_two_activate_at_once(fresh_database: Database) -> None:
    async with fresh_database.transaction() as session:
        ids = [space.id for space in await EmbeddingSpaceFactory.create_batch(6, session)]

    async def activate(id: UUID) -> None:
        async with fresh_database.transaction() as session:
            assert (await EmbeddingSpaceRepository(session).activate(id)).id == id
            await asyncio.sleep(0.01)

    await asyncio.gather(*(activate(id) for id in ids * 3))
    async with fresh_database.session() as session:
        spaces = EmbeddingSpaceRepository(session)
        assert len(await spaces.page(status=SpaceStatus.ACTIVE)) == 1
        assert len(await spaces.page(status=SpaceStatus.RETIRED)) == 5


async def test_two_make_and_activate_the_first_space_at_once(fresh_database: Database, backend: str) -> None:
    """Neither sees the other's space, and it is no row to lock: the one that comes too late is done again."""
    together = asyncio.Barrier(2)
    attempts = 0

    async def make(name: str) -> None:
        async def work(uow: UnitOfWork) -> None:
            nonlocal attempts
            attempts += 1
            space = await uow.embedding_spaces.create(name=name, dimensions=3)
            overlap = backend == "postgresql" and attempts <= 2
            if overlap:
                await together.wait()
            await uow.embedding_spaces.activate(space.id)
            # The first one ends when the other one waits for it.
            for _ in range(500):
                if not overlap or await fresh_database.fetch_value(LOCK_WAITS):
                    break
                await asyncio.sleep(0.01)

        await UnitOfWork(fresh_database).run(work)

    await asyncio.gather(make("one"), make("two"))
    async with UnitOfWork(fresh_database) as uow:
        assert sorted(space.status for space in await uow.embedding_spaces.page()) == ["active", "retired"]
    assert attempts == (3 if backend == "postgresql" else 2), "on SQLite one writes after the other"


async def test_only_the_name_is_updated(spaces: EmbeddingSpaceRepository) -> None:
    space = await spaces.create(name="x", dimensions=3)
    assert (await spaces.update(space.id, name="y")).name == "y"
    changes: list[dict[str, object]] = [{"dimensions": 4}, {"metric": "l2"}, {"status": "active"}]
    for change in changes:
        with pytest.raises(InvalidInputError):
            await spaces.update(space.id, **change)
    with pytest.raises(InvalidInputError) as refused:
        await spaces.create_many([{"name": "z", "dimensions": 3, "status": "active"}])
    assert refused.value.field == "status"


async def test_it_goes_with_its_vectors_and_theirs_alone(spaces: EmbeddingSpaceRepository, session: Session) -> None:
    gone, kept = [await spaces.create(name=name, dimensions=3) for name in ("gone", "kept")]
    for space in (gone, kept):
        for factory in (MemoryEmbeddingFactory, MessageEmbeddingFactory, EmbeddingFactory):
            await factory.create(session, embedding_space_id=space.id)
    assert await spaces.delete(gone.id)
    assert not await spaces.delete(gone.id)
    east = [1.0, 0.0, 0.0]
    for space, hits in ((gone, 0), (kept, 1)):
        assert len(await MemoryRepository(session).recall(east, space=space)) == hits
        assert len(await EmbeddingRepository(session).search(east, space=space)) == hits
    assert await MemoryRepository(session).count() == 2
    assert await EmbeddingRepository(session).count() == 1
    assert await spaces.delete_many([]) == 0


async def test_an_owner_reads_them_only(database: Database, session: Session) -> None:
    space = await EmbeddingSpaceFactory.create(session)
    await EmbeddingSpaceRepository(session).activate(space.id)
    async with database.transaction(owner_id="ada") as hers:
        spaces = EmbeddingSpaceRepository(hers)
        assert (await spaces.get(space.id)).name == space.name
        assert (await spaces.get_by_name(space.name)).id == space.id
        assert [row.id for row in await spaces.page()] == [space.id]
        assert await spaces.count() == 1
        assert await spaces.exists(space.id)
        active = await spaces.active()
        assert active is not None
        assert active.id == space.id
        assert len(await spaces.indexes(space)) == 3
        for call in (
            lambda: spaces.create(name="x", dimensions=3),
            lambda: spaces.create_many([{"name": "x", "dimensions": 3}]),
            lambda: spaces.update(space.id, name="stolen"),
            lambda: spaces.activate(space.id),
            lambda: spaces.retire(space.id),
            lambda: spaces.lock(space.id),
            lambda: spaces.delete(space.id),
            lambda: spaces.delete_many([space.id]),
        ):
            with pytest.raises(ReadOnlyError, match="shared by all owners"):
                await call()
    found = await EmbeddingSpaceRepository(session).get(space.id)
    assert (found.name, found.status) == (space.name, SpaceStatus.ACTIVE)
