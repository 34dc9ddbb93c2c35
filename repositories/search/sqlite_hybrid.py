"""Words and vectors on SQLite: FTS5, and vectors exactly or, in a wide scope, through their signatures."""

import json
from dataclasses import dataclass, replace
from typing import TypeVar

from models import EmbeddingSpace, Metric
from repositories.search.hybrid import HybridQuery, Pieces
from repositories.search.sqlite_near import LIKELY_IDS, has_signatures, likely_parameters

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
    """How the nearest of a wide scope are found: its `rows` are `r`, with vectors `v`; `conditions`, and when it is
    wide; `read` is what is asked of the nearest."""

    rows: str
    conditions: str
    is_wide: str
    read: str

    def sql(self, table: str, space: EmbeddingSpace) -> str:
        """With the names of the pieces that are still to be put in."""
        if has_signatures(space):
            pieces = {"table": table, "rows": self.rows, "vectors": "v"}
            likely_ids = LIKELY_IDS.format(**pieces, is_wide=self.is_wide, conditions=self.conditions) + ",\n"
            among, conditions = "likely_ids CROSS JOIN ", "r.id = likely_ids.id"
        else:
            likely_ids, among, conditions = "", "", f"{self.is_wide} AND {self.conditions}"
        return f"""{likely_ids}near_ids AS MATERIALIZED (
    SELECT nearest(r.id, v.embedding, :vector, :metric, :candidates) AS ids
    FROM {among}{self.rows}
    WHERE {conditions} AND v.embedding_space_id = :space
),
near AS (
    {self.read}
)"""


def with_vectors(words: PiecesT, near: Near, table: str, key: str, space: EmbeddingSpace | None) -> PiecesT:
    """The pieces for a space, whose vectors are in `table` by `key`; without a space those of words alone."""
    if space is None:
        return words
    return replace(
        words,
        near=near.sql(table, space),
        vectors=f"LEFT JOIN {table} AS v ON v.{key} = r.id AND v.embedding_space_id = :space",
        similarity=SIMILARITIES[space.metric],
    )


def own_parameters(query: HybridQuery, filtered: bool) -> dict[str, object]:
    """Those that this database alone has."""
    words: dict[str, object] = {"words": json.dumps(list(query.words))}
    space = query.space
    if space is None:
        return words
    likely = likely_parameters(query.candidates, filtered) if has_signatures(space) else {}
    return {**words, **likely, "space": space.id, "metric": space.metric.value}
