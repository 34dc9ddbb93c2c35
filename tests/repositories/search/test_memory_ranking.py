"""Memories recalled by words, and by words and vector, with what importance and age add."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import pytest

from database import Database
from database.errors import InvalidInputError
from models import EmbeddingSpace
from repositories import UnitOfWork
from repositories.search import RecallRanking
from tests.support import Statements

CountStatements = Callable[[], AbstractContextManager[Statements]]

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LINES = [
    ("Bob keeps two zebras.", [1.0, 0.0], 0.2, 90),
    ("Bob likes lions and zebras.", [0.6, 0.8], 0.9, 30),
    ("Bob bakes bread.", [0.0, 1.0], 0.5, 0),
]


@pytest.fixture
async def space(uow: UnitOfWork) -> EmbeddingSpace:
    space = await uow.embedding_spaces.create(name="two", dimensions=2)
    await uow.embedding_spaces.activate(space.id)
    for content, vector, importance, days in LINES:
        await uow.memories.remember(
            content, vector=vector, importance=importance, occurred_at=NOW - timedelta(days=days)
        )
    return space


def contents(found: object) -> list[int]:
    texts = [line[0] for line in LINES]
    return [texts.index(hit.content) for hit in found]  # type: ignore[attr-defined]  # a result of recall


async def test_words_alone_find_what_holds_one_of_them(
    uow: UnitOfWork, space: EmbeddingSpace, statements: CountStatements
) -> None:
    with statements() as seen:
        found = await uow.memories.recall(text="Which zebra and what lion?")
    assert len(seen) == 1
    assert contents(found) == [1, 0]
    assert found[0].score == pytest.approx(0.35)
    assert found.exact
    assert contents(await uow.memories.recall(text="giraffe")) == []


async def test_words_and_vector_add_up(
    uow: UnitOfWork, space: EmbeddingSpace, statements: CountStatements, backend: str
) -> None:
    await uow.memories.remember("no vector, no word")
    with statements() as seen:
        found = await uow.memories.recall([0, 1], text="zebra lions", space=space, min_importance=0)
    assert len(seen) == (2 if backend == "postgresql" else 1), "a look for the index of what may be a wide scope"
    assert contents(found) == [1, 2, 0]
    assert [hit.score for hit in found][:2] == pytest.approx([0.8 + 0.35, 1])
    assert 0 < found[2].score < 0.35
    for mode in ("exact", "approximate"):
        forced = await uow.memories.recall([0, 1], text="zebra lions", mode=mode)
        assert [(hit.id, hit.score) for hit in forced] == [(hit.id, hit.score) for hit in found]
        assert forced.exact is (mode == "exact")


async def test_importance_and_age_count_where_they_are_asked_for(uow: UnitOfWork, space: EmbeddingSpace) -> None:
    plain = await uow.memories.recall([1, 0], ranking=RecallRanking(), now=NOW)
    assert [hit.score for hit in plain] == pytest.approx([1, 0.6, 0], abs=1e-6)
    important = await uow.memories.recall([1, 0], ranking=RecallRanking(similarity=0, importance=1), now=NOW)
    assert contents(important) == [1, 2, 0]
    assert [hit.score for hit in important] == pytest.approx([0.9, 0.5, 0.2])
    fresh = await uow.memories.recall([1, 0], ranking=RecallRanking(similarity=0, age=1, half_life_days=30), now=NOW)
    assert contents(fresh) == [2, 1, 0]
    assert [hit.score for hit in fresh] == pytest.approx([1, 0.5, 0.125], abs=1e-4)
    before = await uow.memories.recall([1, 0], ranking=RecallRanking(similarity=0, age=1), now=NOW - timedelta(days=99))
    assert {hit.score for hit in before} == {1}, "what is yet to happen is not younger than now"


async def test_filters_hold_for_words_too(uow: UnitOfWork, space: EmbeddingSpace) -> None:
    assert contents(await uow.memories.recall(text="zebra", min_importance=0.5)) == [1]
    assert contents(await uow.memories.recall(text="zebra", until=NOW - timedelta(days=60))) == [0]
    assert contents(await uow.memories.recall([0, 1], text="zebra", since=NOW - timedelta(days=1))) == [2]
    assert contents(await uow.memories.recall(text="zebra", memory_type="none")) == []
    found = await uow.memories.recall(text="zebra", touch=True)
    assert [hit.access_count for hit in found] == [0, 0]
    assert {(await uow.memories.get(hit.id)).access_count for hit in found} == {1}


async def test_another_owners_words_are_not_seen(database: Database, uow: UnitOfWork, space: EmbeddingSpace) -> None:
    await uow.memories.remember("Ada has a zebra.", owner_id="ada")
    assert len(await uow.memories.recall(text="zebra")) == 3
    async with UnitOfWork(database, owner_id="ada") as adas:
        for vector in (None, [1, 0]):
            found = await adas.memories.recall(vector, text="zebra")
            assert [hit.content for hit in found] == ["Ada has a zebra."]


async def test_bad_input_is_refused_by_its_name(uow: UnitOfWork, space: EmbeddingSpace) -> None:
    with pytest.raises(InvalidInputError, match="vector"):
        await uow.memories.recall()
    with pytest.raises(InvalidInputError, match="mode"):
        await uow.memories.recall(text="x", mode="fast")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(InvalidInputError, match="limit"):
        await uow.memories.recall(text="x", limit=0)
    with pytest.raises(InvalidInputError, match="now"):
        await uow.memories.recall(text="x", now=datetime(2026, 1, 1))
    for bad in ({"half_life_days": 0}, {"age": -1}, {"words": True}):
        with pytest.raises(InvalidInputError):
            RecallRanking(**bad)
