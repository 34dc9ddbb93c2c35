"""A question that is far from every vector: its signs say little, so its numbers are taken more exactly than those."""

import numpy as np

from database.sqlite_candidates import FAR_POOL, candidates
from database.sqlite_signatures import Signatures

ROWS, DIMENSIONS, MOST = 20_000, 384, 1_000


def test_the_nearest_of_a_far_question_are_among_its_candidates() -> None:
    random = np.random.default_rng(1)
    crowds = random.standard_normal((50, DIMENSIONS), dtype=np.float32)
    vectors = crowds[random.integers(50, size=ROWS)] + random.standard_normal((ROWS, DIMENSIONS), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.array([b"%032d" % number for number in range(ROWS)], dtype="S32")
    part = Signatures.of(np.arange(ROWS), ids, vectors)
    near, far = vectors[7:12], random.standard_normal((5, DIMENSIONS), dtype=np.float32)

    def found(questions: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
        shares = []
        for question in questions / np.linalg.norm(questions, axis=1, keepdims=True):
            ids = set(candidates([part], question, [None], 10, MOST).ids)
            assert len(ids) <= FAR_POOL * MOST
            nearest = np.argsort(-(vectors @ question))[:10]
            shares.append(sum(part.ids[place] in ids for place in nearest) / 10)
        return float(np.mean(shares))

    assert found(near) == 1
    assert found(far) >= 0.9


def test_a_part_without_a_vector_brings_nothing() -> None:
    question = np.eye(1, DIMENSIONS, dtype=np.float32)[0]
    for parts in ([], [Signatures.none(None)], [Signatures.none(question)]):
        assert candidates(parts, question, [None] * len(parts)).ids.size == 0
        if parts:
            assert candidates(parts, question, [None], 10, MOST).ids.size == 0
