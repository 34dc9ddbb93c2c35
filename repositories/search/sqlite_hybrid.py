"""Words and vectors on SQLite: FTS5, and vectors exactly."""

import json
from dataclasses import replace
from typing import TypeVar

from models import EmbeddingSpace, Metric
from repositories.search.hybrid import HybridQuery, Pieces

PiecesT = TypeVar("PiecesT", bound=Pieces)

WORDS = """words AS MATERIALIZED (
    SELECT key AS n, value AS word FROM json_each(:words)
)"""

SIMILARITIES = {
    Metric.COSINE: "CASE WHEN v.embedding IS NOT NULL THEN 1 - distance_cosine(v.embedding, :vector) END",
    Metric.INNER_PRODUCT: "CASE WHEN v.embedding IS NOT NULL THEN 0 - distance_inner_product(v.embedding, :vector) END",
    Metric.L2: "CASE WHEN v.embedding IS NOT NULL THEN 1 / (1 + distance_l2(v.embedding, :vector)) END",
}


def with_vectors(words: PiecesT, near: str, table: str, key: str, space: EmbeddingSpace | None) -> PiecesT:
    """The pieces for a space, whose vectors are in `table` by `key`; without a space those of words alone."""
    if space is None:
        return words
    return replace(
        words,
        near=near,
        vectors=f"LEFT JOIN {table} AS v ON v.{key} = r.id AND v.embedding_space_id = :space",
        similarity=SIMILARITIES[space.metric],
    )


def own_parameters(query: HybridQuery) -> dict[str, object]:
    """Those that this database alone has."""
    words: dict[str, object] = {"words": json.dumps(list(query.words))}
    space = query.space
    return words if space is None else words | {"space": space.id, "metric": space.metric.value}
