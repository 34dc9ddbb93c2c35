"""The answer that a search must give, computed with numpy in double precision; and vectors that lie in clusters."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models import Metric

Vectors = NDArray[np.float32]


def clustered(count: int, dimensions: int, *, clusters: int = 8, seed: int = 1) -> Vectors:
    """Random vectors round a few centres, as those of texts on a few subjects are."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((clusters, dimensions))
    chosen = centres[random.integers(clusters, size=count)]
    return (chosen + 0.3 * random.standard_normal((count, dimensions))).astype(np.float32)


def scores(rows: Vectors, query: Vectors, metric: Metric) -> NDArray[np.float64]:
    x, q = rows.astype(np.float64), query.astype(np.float64)
    if metric is Metric.L2:
        return -np.linalg.norm(x - q, axis=1)
    if metric is Metric.INNER_PRODUCT:
        return np.asarray(x @ q)
    return np.asarray(x @ q / (np.linalg.norm(x, axis=1) * np.linalg.norm(q)))


def nearest(vectors: Mapping[UUID, Any], query: Vectors, metric: Metric, limit: int) -> Sequence[tuple[UUID, float]]:
    """(id, score), the best first, ties by id."""
    ids = list(vectors)
    found = scores(np.array([vectors[id] for id in ids], dtype=np.float32), query, metric)
    return sorted(zip(ids, found.tolist(), strict=True), key=lambda hit: (-round(hit[1], 6), hit[0]))[:limit]
