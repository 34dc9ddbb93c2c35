"""The comparison of approximate and exact search, on a few rows."""

from uuid import UUID

import numpy as np
import pytest
from rich.progress import Progress

from benchmarks.approximate import SEARCHES, measure
from benchmarks.conversations import Question, Talk
from benchmarks.multiplied import multiply
from models import new_id

WIDTH = 8


def talk(name: str, random: np.random.Generator) -> Talk:
    ids = [new_id() for _ in range(6)]
    rows = [{"id": id, "role": "user", "content": f"{name} speaks of lions", "name": name} for id in ids]
    vectors = random.standard_normal((len(ids) + 2, WIDTH)).astype(np.float32)
    nothing: frozenset[UUID] = frozenset()
    questions = [Question("Which lions?", 1, nothing, vector, vector) for vector in vectors[len(ids) :]]
    return Talk(name, [row | {"sent_at": None} for row in rows], dict(zip(ids, vectors, strict=False)), questions)


def test_new_vectors_lie_beside_the_real_ones() -> None:
    base = np.random.default_rng(0).standard_normal((40, WIDTH)).astype(np.float32)
    chosen, made = multiply(base, 500, 0.35, np.random.default_rng(1))
    again = multiply(base, 500, 0.35, np.random.default_rng(1))

    assert np.array_equal(made, again[1])
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", made, base[chosen]).min() > 0.6
    assert set(chosen) == set(range(40))


@pytest.mark.slow
async def test_it_compares_every_search_in_every_scope(empty_url: str) -> None:
    random = np.random.default_rng(2)
    talks = [talk(name, random) for name in ("Ada", "Bob", "Carol")]
    with Progress(disable=True) as progress:
        results = await measure("here", empty_url, talks, 30, progress, asked=2)

    assert len(results) == len(SEARCHES) * 4 * 2
    assert {(result.scope, result.asked) for result in results} == {
        (scope, asked) for scope in ("everything", "persona", "owner", "conversation") for asked in ("near", "far")
    }
    for result in results:
        assert result.recall == 1
        assert 0 <= result.approximate <= 1
