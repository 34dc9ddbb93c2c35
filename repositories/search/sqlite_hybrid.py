"""Words and vectors on SQLite: FTS5, and vectors exactly or, in a wide scope, through their signatures."""

import json
from dataclasses import dataclass, replace
from typing import TypeVar

from models import EmbeddingSpace, Metric
from repositories.search.hybrid import HybridQuery, Pieces
from repositories.search.sqlite_near import nearest_in

PiecesT = TypeVar("PiecesT", bound=Pieces)

WORDS = """words AS MATERIALIZED (
    SELECT key AS n, value AS word FROM json_each(:words)
)"""

SIMILARITIES = {
    Metric.COSINE: "CASE WHEN v.embedding IS NOT NULL THEN 1 - distance_cosine(v.embedding, :vector) END",
    Metric.INNER_PRODUCT: "CASE WHEN v.embedding IS NOT NULL THEN 0 - distance_inner_product(v.embedding, :vector) END",
    Metric.L2: "CASE WHEN v.embedding IS NOT NULL THEN 1 / (1 + distance_l2(v.embedding, :vector)) END",
}


@dataclass(frozen=True, slots=True)
class Near:
    """How the nearest of a wide scope are found by the vectors of `table`, when it is wide; `read` is what is asked of
    them, `columns` of `rows`. `conditions`: what the scope is, empty where it is everything."""

    table: str
    rows: str
    columns: str
    is_wide: str
    read: str
    conditions: str = ""

    @property
    def sql(self) -> str:
        call, _ = nearest_in(self.table, ":candidates", "-1", self.conditions)
        return f"""near_ids AS MATERIALIZED (
    SELECT {call} AS ids WHERE {self.is_wide}
),
near AS (
    {self.read}
    UNION ALL
    -- None; but SQLite reckons with a million rows, and so looks words up by an index instead of one after the other.
    SELECT {self.columns} FROM {self.rows} WHERE 1 = 0
)"""

    def parameters(self, space: EmbeddingSpace) -> dict[str, object]:
        _, scope = nearest_in(self.table, ":candidates", "-1", self.conditions)
        return {"space": space.id, "metric": space.metric.value, "scope": scope}


def with_vectors(words: PiecesT, near: Near, key: str, space: EmbeddingSpace | None) -> PiecesT:
    """The pieces for a space, whose vectors are in the table by `key`; without a space those of words alone."""
    if space is None:
        return words
    return replace(
        words,
        near=near.sql,
        vectors=f"LEFT JOIN {near.table} AS v ON v.{key} = r.id AND +v.embedding_space_id = :space",
        similarity=SIMILARITIES[space.metric],
    )


def own_parameters(query: HybridQuery, near: Near) -> dict[str, object]:
    """Those that this database alone has."""
    words: dict[str, object] = {"words": json.dumps(list(query.words))}
    return words if query.space is None else {**words, **near.parameters(query.space)}
