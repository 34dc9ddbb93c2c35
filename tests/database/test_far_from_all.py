"""A question that is far from every vector: its bits say little, so more codes are looked at than for a near one."""

import numpy as np

from database.sqlite_signatures import FAR_POOL, Signatures, candidates

ROWS, DIMENSIONS, MOST = 20_000, 384, 500


def test_the_nearest_of_a_far_question_are_among_its_candidates() -> None:
    random = np.random.default_rng(1)
    crowds = random.standard_normal((50, DIMENSIONS), dtype=np.float32)
    vectors = crowds[random.integers(50, size=ROWS)] + random.standard_normal((ROWS, DIMENSIONS), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.array([b"%032d" % number for number in range(ROWS)], dtype="S32")
    part = Signatures.of(np.arange(ROWS), ids, vectors)
    near, far = vectors[7], random.standard_normal(DIMENSIONS, dtype=np.float32)

    def found(question: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[int, int]:
        question = question / np.linalg.norm(question)
        ids = set(candidates([part], question, [None], 10, MOST).ids)
        nearest = np.argsort(-(vectors @ question))[:10]
        return len(ids), sum(part.ids[place] in ids for place in nearest)

    looked_at, of_ten = found(near)
    assert looked_at <= MOST
    assert of_ten == 10
    looked_at, of_ten = found(far)
    assert MOST < looked_at <= FAR_POOL * MOST
    assert of_ten >= 8
