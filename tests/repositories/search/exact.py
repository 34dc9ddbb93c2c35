"""The answer that a search must give, computed with numpy in double precision; vectors in clusters, stored quickly."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from database import Session
from models import EmbeddingSpace, Memory, MemoryEmbedding, Metric, new_id
from repositories.ownership import table_of
from repositories.validation import valid_row
from repositories.vectors import store_vectors

Vectors = NDArray[np.float32]


def clustered(count: int, dimensions: int, *, clusters: int = 8, seed: int = 1) -> Vectors:
    """Random vectors round a few centres, as those of texts on a few subjects are."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((clusters, dimensions))
    chosen = centres[random.integers(clusters, size=count)]
    return (chosen + 0.3 * random.standard_normal((count, dimensions))).astype(np.float32)


def scores(rows: Vectors, query: Vectors, metric: Metric) -> NDArray[np.float64]:
    x, q = rows.astype(np.float64), query.astype(np.float64)
    found: NDArray[np.float64] = x @ q
    if metric is Metric.COSINE:
        found /= np.linalg.norm(x, axis=1) * np.linalg.norm(q)
    if metric is Metric.L2:
        found = -np.linalg.norm(x - q, axis=1)
    return found


def nearest(vectors: Mapping[UUID, Any], query: Vectors, metric: Metric, limit: int) -> Sequence[tuple[UUID, float]]:
    """(id, score), the best first, ties by id."""
    ids = list(vectors)
    rows = np.array([vectors[id] for id in ids], dtype=np.float32).reshape(len(ids), query.size)
    found = scores(rows, query, metric)
    return sorted(zip(ids, found.tolist(), strict=True), key=lambda hit: (-round(hit[1], 6), hit[0]))[:limit]


async def store(
    session: Session,
    space: EmbeddingSpace,
    vectors: Vectors,
    owner_id: str | None = None,
    persona_id: UUID | None = None,
) -> Sequence[UUID]:
    """A memory for each vector, past the validation of rows: thousands in a moment."""
    ids = [new_id() for _ in vectors]
    row = valid_row(Memory, {"content": "x", "owner_id": owner_id, "persona_id": persona_id})
    rows = [{**row, "id": id} for id in ids]
    connection = await session.core()
    await connection.execute(sa.insert(table_of(Memory)), rows)
    await store_vectors(session, MemoryEmbedding, list(zip(ids, vectors, strict=True)), space)
    return ids
