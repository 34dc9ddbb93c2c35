"""The plain store of text and vectors: put by source, found by vector and metadata, each owner's apart."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from database import Database, Session
from database.errors import (
    DimensionError,
    DuplicateError,
    InvalidInputError,
    MissingReferenceError,
    NotFoundError,
)
from models import EmbeddingSpace
from repositories import EmbeddingRepository, EmbeddingSpaceRepository
from tests.factories import EmbeddingFactory, EmbeddingSpaceFactory
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

EAST, NORTH, UP = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]


@pytest.fixture
def embeddings(session: Session) -> EmbeddingRepository:
    return EmbeddingRepository(session)


@pytest.fixture
async def space(session: Session) -> EmbeddingSpace:
    space = await EmbeddingSpaceFactory.create(session)
    return await EmbeddingSpaceRepository(session).activate(space.id)


def chunk(number: int = 0, **more: object) -> dict[str, Any]:
    return {
        "source_type": "manual",
        "source_id": "m1",
        "chunk": number,
        "content": f"chunk {number}",
        "vector": EAST,
        **more,
    }


async def test_create_and_find(
    embeddings: EmbeddingRepository, session: Session, space: EmbeddingSpace, statements: Counted
) -> None:
    with statements() as seen:
        row = await embeddings.create(**chunk(extra_data={"page": 3}), space=space)
    assert len(seen) == 1
    with statements() as seen:
        other = await embeddings.create(**chunk(1, vector=NORTH))
    assert len(seen) == 2
    assert row.embedding == EAST
    with statements() as seen:
        first, second = await embeddings.search([1.0, 0.5, 0.0], space=space, mode="exact")
    assert len(seen) == 1
    assert (first.id, second.id) == (row.id, other.id)
    assert first.score == pytest.approx(1 / np.sqrt(1.25), abs=1e-6)
    assert (first.source_type, first.source_id, first.chunk, first.content) == ("manual", "m1", 0, "chunk 0")
    assert (first.extra_data, first.owner_id) == ({"page": 3}, None)
    assert "chunk 0" not in repr(first)
    with pytest.raises(DuplicateError):
        async with session.nested():
            await embeddings.create(**chunk())


async def test_many_are_made_in_a_few_statements(
    embeddings: EmbeddingRepository, space: EmbeddingSpace, statements: Counted
) -> None:
    with statements() as seen:
        ids = await embeddings.create_many(chunk(number) for number in range(501))
    assert len(seen) == 3
    assert [row.chunk for row in await embeddings.get_many(ids[-2:])] == [499, 500]
    with statements() as seen:
        assert await embeddings.put_many((chunk(number) for number in range(501)), space=space) == 501
    assert len(seen) == 2
    assert await embeddings.count(source_type="manual", source_id="m1") == 501
    assert await embeddings.count(source_id="m2") == 0


async def test_put_replaces_text_vector_and_data(
    embeddings: EmbeddingRepository, session: Session, space: EmbeddingSpace
) -> None:
    (key,) = await embeddings.create_many([chunk(extra_data={"page": 1})])
    before = await embeddings.get(key)
    made, changed = before.created_at, before.updated_at
    assert await embeddings.put_many([chunk(content="new", vector=NORTH), chunk(1), chunk(1, content="later")]) == 3
    after = await embeddings.get(key)
    assert (after.content, after.embedding, after.extra_data) == ("new", NORTH, {})
    assert after.created_at == made
    assert after.updated_at > changed
    assert {row.content for row in await embeddings.page()} == {"new", "later"}
    other = await EmbeddingSpaceFactory.create(session)
    await embeddings.put_many([chunk()], space=other)
    await embeddings.put_many([chunk(owner_id="ada")])
    assert await embeddings.count() == 4


@pytest.mark.parametrize(
    "field, values",
    [
        ("vector", {"vector": [0.0, 0.0, 0.0]}),
        ("vector", {"vector": [1.0, 2.0]}),
        ("content", {"content": "a\0b"}),
        ("chunk", {"chunk": -1}),
        ("source_type", {"source_type": "x" * 51}),
        ("extra_data", {"extra_data": {"a": float("nan")}}),
    ],
)
async def test_bad_input_is_refused_by_its_name(
    embeddings: EmbeddingRepository, space: EmbeddingSpace, field: str, values: dict[str, Any]
) -> None:
    for call in (
        lambda: embeddings.create(**chunk(**values)),
        lambda: embeddings.create_many([chunk(**values)]),
        lambda: embeddings.put_many([chunk(**values)]),
    ):
        with pytest.raises(InvalidInputError) as refused:
            await call()
        assert refused.value.field == field
    assert await embeddings.count() == 0


async def test_a_row_without_vector_or_space_is_refused(embeddings: EmbeddingRepository, session: Session) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await embeddings.create(**chunk())
    assert refused.value.field == "space"
    space = await EmbeddingSpaceFactory.create(session)
    row = chunk()
    del row["vector"]
    with pytest.raises(InvalidInputError) as refused:
        await embeddings.put_many([row], space=space)
    assert refused.value.field == "vector"
    with pytest.raises(DimensionError):
        await embeddings.search([1.0], space=space)
    gone = EmbeddingSpace(name="never stored", dimensions=3)
    with pytest.raises(MissingReferenceError):
        async with session.nested():
            await embeddings.create(**chunk(), space=gone)


DOCUMENTS: list[dict[str, Any]] = [
    {},
    {"lang": "en", "page": 1, "draft": True, "by": {"name": "Ada", "age": 36}, "tags": ["a", "b"]},
    {"lang": "en", "page": 2, "draft": False, "by": {"name": "Ada"}, "tags": ["b", {"c": 1}]},
    {"lang": "de", "page": 1.0, "draft": None, "by": "Ada", "tags": []},
    {"lang": "1", "page": "1", 'odd "key" $.x': {"": 0}, "by": {"name": {"first": "Ada"}}},
]


@pytest.mark.parametrize(
    "metadata, found",
    [
        ({}, {0, 1, 2, 3, 4}),
        ({"lang": "en"}, {1, 2}),
        ({"lang": "en", "page": 1}, {1}),
        ({"page": 1}, {1, 3}),
        ({"page": 1.0}, {1, 3}),
        ({"page": "1"}, {4}),
        ({"page": True}, set()),
        ({"draft": True}, {1}),
        ({"draft": 1}, set()),
        ({"draft": None}, {3}),
        ({"absent": None}, set()),
        ({"by": {"name": "Ada"}}, {1, 2}),
        ({"by": {"name": "Ada", "age": 36}}, {1}),
        ({"by": {}}, {1, 2, 4}),
        ({"by": "Ada"}, {3}),
        ({"by": {"name": {"first": "Ada"}}}, {4}),
        ({"tags": ["b"]}, {1, 2}),
        ({"tags": ["b", "a", "a"]}, {1}),
        ({"tags": [{"c": 1}]}, {2}),
        ({"tags": []}, {1, 2, 3}),
        ({'odd "key" $.x': {"": 0}}, {4}),
    ],
)
async def test_metadata_is_contained(
    embeddings: EmbeddingRepository, space: EmbeddingSpace, metadata: dict[str, Any], found: set[int]
) -> None:
    await embeddings.create_many(chunk(number, extra_data=data) for number, data in enumerate(DOCUMENTS))
    result = await embeddings.search(EAST, metadata=metadata)
    assert {hit.chunk for hit in result} == found
    assert result.exact


async def test_search_by_source(embeddings: EmbeddingRepository, space: EmbeddingSpace) -> None:
    await embeddings.create_many(chunk(source_type=kind, source_id=id) for kind in "ab" for id in "xy")
    for filters in ({"source_type": "a"}, {"source_id": "x"}, {"source_type": "a", "source_id": "y"}):
        wanted: dict[str, Any] = dict(filters)
        hits = await embeddings.search(EAST, **wanted)
        assert len(hits) == 4 / 2 ** len(filters)
        assert all(getattr(hit, name) == value for hit in hits for name, value in filters.items())
    bad: dict[str, Any] = {"metadata": {"a": float("nan")}, "source_type": "x\0", "mode": "fast", "limit": 0}
    for name, value in bad.items():
        with pytest.raises(InvalidInputError) as refused:
            await embeddings.search(EAST, **{name: value})
        assert refused.value.field == name


async def test_delete_by_source(embeddings: EmbeddingRepository, space: EmbeddingSpace, statements: Counted) -> None:
    await embeddings.create_many([chunk(0), chunk(1), chunk(source_id="m2"), chunk(source_type="note")])
    with statements() as seen:
        assert await embeddings.delete_by_source("manual", "m1") == 2
    assert len(seen) == 1
    assert await embeddings.delete_by_source("manual", "m1") == 0
    with pytest.raises(InvalidInputError):
        await embeddings.delete_by_source("manual", None)  # type: ignore[arg-type]  # it must not mean every source
    assert await embeddings.count() == 2


async def test_only_free_data_is_updated(embeddings: EmbeddingRepository, space: EmbeddingSpace) -> None:
    row = await embeddings.create(**chunk())
    assert (await embeddings.update(row.id, extra_data={"page": 2})).extra_data == {"page": 2}
    for name in ("content", "embedding", "embedding_space_id", "source_id", "chunk", "owner_id"):
        with pytest.raises(InvalidInputError):
            await embeddings.update(row.id, **{name: "x"})


async def test_an_owner_meets_its_own_alone(database: Database, session: Session, space: EmbeddingSpace) -> None:
    rows = [
        await EmbeddingFactory.create(session, embedding_space_id=space.id, source_id="m1", owner_id=owner_id)
        for owner_id in ("bob", None)
    ]

    async def whole() -> list[tuple[object, ...]]:
        return [
            (row.id, row.owner_id, row.content, row.updated_at) for row in await EmbeddingRepository(session).page()
        ]

    before = await whole()
    async with database.transaction(owner_id="ada") as hers:
        embeddings = EmbeddingRepository(hers)
        await embeddings.put_many([chunk(source_type="document")])
        own = await embeddings.create(**chunk(1, source_type="document"))
        assert own.owner_id == "ada"
        assert {hit.owner_id for hit in await embeddings.search(EAST)} == {"ada"}
        assert {hit.owner_id for hit in await embeddings.search(EAST, mode="approximate", source_id="m1")} == {"ada"}
        assert {row.owner_id for row in await embeddings.page()} == {"ada"}
        assert await embeddings.count() == 2
        with pytest.raises(InvalidInputError):
            await embeddings.create(**chunk(2, owner_id="bob"))
        for row in rows:
            assert not await embeddings.exists(row.id)
            assert not await embeddings.delete(row.id)
            for verb in (embeddings.get, embeddings.lock, partial(embeddings.update, extra_data={})):
                with pytest.raises(NotFoundError):
                    await verb(row.id)
        assert await embeddings.get_many([row.id for row in rows]) == []
        assert await embeddings.delete_by_source("document", "m1") == 2
        with pytest.raises(NotFoundError):
            await embeddings.get(uuid4())
    assert await whole() == before
