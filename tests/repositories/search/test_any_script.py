"""Whatever is remembered, recalled and forgotten, in whatever order: what a dictionary and numpy say."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from database import Session
from models import Metric
from repositories import EmbeddingSpaceRepository, MemoryRepository
from tests.repositories.search.exact import nearest, scores

numbers = st.floats(-50, 50, width=32).filter(lambda number: number == 0 or abs(number) > 0.01)
vectors = st.lists(numbers, min_size=3, max_size=3).filter(any)
types = st.sampled_from(["episodic", "semantic"])
importances = st.sampled_from([0.0, 0.25, 0.5, 1.0])
steps = st.lists(
    st.tuples(st.just("remember"), vectors | st.none(), types, importances)
    | st.tuples(st.just("embed"), vectors, st.integers(0, 9))
    | st.tuples(st.just("forget"), types, importances)
    | st.tuples(st.just("recall"), vectors, st.none() | types, st.none() | importances, st.integers(1, 4)),
    max_size=25,
)


class Undone(Exception):
    """Ends an example."""


@given(metric=st.sampled_from(Metric), script=steps)
async def test_any_script(session: Session, metric: Metric, script: list[tuple[Any, ...]]) -> None:
    try:
        async with session.nested():
            await play(session, metric, script)
            raise Undone
    except Undone:
        session.expunge_all()


async def play(session: Session, metric: Metric, script: list[tuple[Any, ...]]) -> None:
    memories = MemoryRepository(session)
    space = await EmbeddingSpaceRepository(session).create(name="x", dimensions=3, metric=metric)
    kept: dict[UUID, tuple[str, float]] = {}
    embedded: dict[UUID, list[float]] = {}
    for step in script:
        match step:
            case ("remember", vector, kind, importance):
                memory = await memories.remember(
                    "x", memory_type=kind, importance=importance, vector=vector, space=space
                )
                kept[memory.id] = (kind, importance)
                if vector is not None:
                    embedded[memory.id] = vector
            case ("embed", vector, place) if place < len(kept):
                id = list(kept)[place]
                await memories.embed(id, vector, space)
                embedded[id] = vector
            case ("forget", kind, importance):
                gone = [id for id, (of, much) in kept.items() if of == kind and much <= importance]
                assert await memories.forget(memory_type=kind, max_importance=importance) == len(gone)
                for id in gone:
                    del kept[id]
                    embedded.pop(id, None)
            case ("recall", vector, kind, importance, limit):
                seen = {
                    id: row
                    for id, row in embedded.items()
                    if kind in (None, kept[id][0]) and kept[id][1] >= (importance or 0)
                }
                query = np.array(vector, dtype=np.float32)
                hits = await memories.recall(
                    query, space=space, memory_type=kind, min_importance=importance, limit=limit
                )
                expected = nearest(seen, query, metric, limit) if seen else []
                # Two databases add in different orders: the scores are compared, and that each hit has its own.
                assert [hit.score for hit in hits] == pytest.approx(
                    [score for _, score in expected], rel=1e-4, abs=1e-4
                )
                for hit in hits:
                    (own,) = scores(np.array([seen[hit.id]], dtype=np.float32), query, metric)
                    assert hit.score == pytest.approx(own, rel=1e-4, abs=1e-4)
                assert len({hit.id for hit in hits}) == len(hits)
    assert await memories.count() == len(kept)
