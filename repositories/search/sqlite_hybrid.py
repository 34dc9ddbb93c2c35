"""Words and vectors on SQLite: FTS5, and vectors exactly or, in a wide scope, through their signatures."""

import json
from dataclasses import dataclass, replace
from typing import TypeVar

from database.sqlite_words import LONGEST
from models import EmbeddingSpace
from repositories.search.hybrid import HybridQuery, Pieces
from repositories.search.sqlite_near import nearest_in

PiecesT = TypeVar("PiecesT", bound=Pieces)

WORDS = """words AS MATERIALIZED (
    SELECT key AS n, value AS word FROM json_each(:words)
)"""

OF_CUT = f"""SELECT r.id, cut.weight, length(r.content) AS size
    FROM json_each(CASE WHEN EXISTS (SELECT 1 FROM cut) THEN texts_with(
            '{{table}}_fts',
            (SELECT json_group_object(r.id, substr(r.content, 1, {LONGEST}))
                FROM scope AS s CROSS JOIN {{table}} AS r WHERE r.id = s.id),
            (SELECT json_group_object(n, word) FROM cut)
        ) END) AS hit
        CROSS JOIN cut CROSS JOIN {{table}} AS r
    WHERE cut.n = CAST(json_extract(hit.value, '$[1]') AS INTEGER) AND r.id = json_extract(hit.value, '$[0]')"""
"""The index would list all rows of words that very many hold; so many characters of a text are in it."""

MEASURED = """measured AS MATERIALIZED (
    SELECT one.key AS id, one.value AS similarity
    FROM json_each(
        similarities('{vectors}', :space, :vector, :metric, (SELECT json_group_array(id) FROM ({ids})))
    ) AS one
),
"""
"""The similarities of the rows that are compared, all at once; NULL where there is no vector."""


@dataclass(frozen=True, slots=True)
class Near:
    """How the nearest of a wide scope are found by the vectors of `table`, when it is wide; `read` is what is asked of
    them, `columns` of `rows`. `conditions`: what the scope is, empty where it is everything."""

    table: str
    rows: str
    columns: str
    is_wide: str
    read: str
    compared: str
    """The ids of all rows that are compared."""
    conditions: str = ""
    count: str = ":candidates"

    @property
    def sql(self) -> str:
        call, _ = nearest_in(self.table, self.count, "-1", self.conditions)
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
        _, scope = nearest_in(self.table, self.count, "-1", self.conditions)
        return {"space": space.id, "metric": space.metric.value, "scope": scope}


def with_vectors(words: PiecesT, near: Near) -> PiecesT:
    return replace(
        words,
        near=near.sql,
        measured=MEASURED.format(vectors=near.table, ids=near.compared),
        # Each row is looked up: SQLite reckons with ten, and would look for each one among all that are measured.
        each_row="measured AS v CROSS JOIN {table} AS r ON r.id = v.id",
        vectors="LEFT JOIN measured AS v ON v.id = r.id",
        similarity="v.similarity",
    )


def own_parameters(query: HybridQuery, near: Near) -> dict[str, object]:
    """Those that this database alone has."""
    words: dict[str, object] = {"words": json.dumps(list(query.words))}
    return words if query.space is None else {**words, **near.parameters(query.space)}
