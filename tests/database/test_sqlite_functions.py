"""SQLite's functions of ours: PostgreSQL's answer about JSON, pgvector's about distance, blocks that nobody sees."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from database import Database
from database.sqlite_functions import jsonb_contains, register
from database.sqlite_vectors import Nearest
from tests.support import PostgresCopies

METRICS = ("cosine", "l2", "inner_product")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = register(sqlite3.connect(":memory:"))
    yield connection
    connection.close()


@pytest.fixture(scope="module")
async def postgres(postgres_copies: PostgresCopies) -> Any:
    url = await postgres_copies.migrated()
    async with Database(url) as database:
        yield database
    await postgres_copies.drop(url)


def packed(vector: Sequence[float]) -> bytes:
    return np.asarray(vector, dtype="<f4").tobytes()


scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([1.0, 0.5, 1e300, "", "1", "a", "ü"])
keys = st.sampled_from(["a", "b", 'c"', "$.d"])
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(keys, documents, max_size=3)


@given(document=objects, part=objects)
@example(document={"a": [1, [2]]}, part={"a": [[2]]})
@example(document={"a": [1]}, part={"a": 1})
@example(document={"a": [{"b": 1, "a": 2}]}, part={"a": [{"b": 1}, {"a": 2}]})
@example(document={"a": True}, part={"a": 1})
@example(document={"a": 1}, part={"a": 1.0})
@example(document={"a": []}, part={"a": {}})
async def test_contains_is_what_postgresql_says(postgres: Database, document: Any, part: Any) -> None:
    both = {"document": document, "part": part}
    theirs = await postgres.fetch_value("SELECT CAST(:document AS jsonb) @> CAST(:part AS jsonb)", both)
    assert jsonb_contains(json.dumps(document), json.dumps(part)) == theirs
    assert jsonb_contains(json.dumps(document), json.dumps(document))


numbers = st.floats(-100, 100, width=32).filter(lambda number: number == 0 or abs(number) > 1e-3)
three = st.lists(numbers, min_size=3, max_size=3).filter(any)


@given(
    rows=st.lists(three, min_size=1, max_size=12), query=three, count=st.integers(1, 5), metric=st.sampled_from(METRICS)
)
@example(rows=[[1, 0, 0]] * 4, query=[1, 1, 0], count=2, metric="cosine")
def test_nearest_ranks_as_the_distances_do(
    connection: sqlite3.Connection, rows: Sequence[Sequence[float]], query: Sequence[float], count: int, metric: str
) -> None:
    nearest = Nearest(packed(query), metric, count)
    nearest.add([(f"{n:02}", packed(row)) for n, row in enumerate(rows)])
    found = nearest.hits
    sql = f"SELECT distance_{metric}(?, ?)"
    distances = {
        f"{n:02}": connection.execute(sql, (packed(row), packed(query))).fetchone()[0] for n, row in enumerate(rows)
    }
    best = sorted(distances.values())[:count]
    offset = 1 if metric == "cosine" else 0
    assert [score for _, score in found] == pytest.approx([offset - distance for distance in best], rel=1e-5, abs=1e-5)
    assert [offset - distances[key] for key, _ in found] == pytest.approx(
        [score for _, score in found], rel=1e-5, abs=1e-5
    )
    assert found == sorted(found, key=lambda hit: (-hit[1], hit[0]))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_blocks_do_not_show(metric: str, size: int) -> None:
    rows = 100
    random = np.random.default_rng(rows)
    vectors = random.standard_normal((rows, 7)).astype("<f4")
    vectors[random.permutation(rows)[: rows // 2]] = vectors[0]
    added = [(f"{n:05}", vector.tobytes()) for n, vector in enumerate(vectors)]
    found = []
    for order in (added, added[::-1]):
        nearest = Nearest(vectors[0].tobytes(), metric, 20)
        for start in range(0, rows, size):
            nearest.add(order[start : start + size])
        found.append(nearest.hits)
    assert found[0] == found[1]
    assert len(found[0]) == min(rows, 20)
    if metric != "inner_product":
        equal = [f"{n:05}" for n, vector in enumerate(vectors) if (vector == vectors[0]).all()]
        assert [key for key, _ in found[0]][: len(equal)] == equal[:20]


@pytest.mark.parametrize("metric", METRICS)
async def test_distances_are_pgvectors(connection: sqlite3.Connection, postgres: Database, metric: str) -> None:
    operator = {"cosine": "<=>", "l2": "<->", "inner_product": "<#>"}[metric]
    random = np.random.default_rng(1)
    for _ in range(10):
        one, two = random.standard_normal((2, 50)).astype(np.float32)
        theirs = await postgres.fetch_value(
            f"SELECT CAST(:one AS vector) {operator} CAST(:two AS vector)", {"one": one, "two": two}
        )
        ours = connection.execute(f"SELECT distance_{metric}(?, ?)", (packed(one), packed(two))).fetchone()[0]
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)
