"""Memories by words, or by words and vector, with what their importance and age add: one statement.

As for messages, without what only talk has: a narrow scope is compared whole, of a wide one the best by words and the
nearest by vector are candidates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncConnection

from database.errors import InvalidInputError
from models import EmbeddingSpace
from models.types import UTCDateTime, Vector
from repositories.search.contract import MODES, Mode, Ranked
from repositories.search.messages import CANDIDATES_A_HIT, K1, LEAST_CANDIDATES, NARROW, B
from repositories.search.ranking import RecallRanking
from repositories.search.sources import MEMORIES

SQL = """
WITH reach AS MATERIALIZED (
    SELECT count(*) AS memories
    FROM (SELECT 1 FROM conversation_memory AS r WHERE {conditions} LIMIT :counted) AS the_first
),
{words},
{found},
rarity AS MATERIALIZED (
    SELECT n, ln(1 + ({greatest}((SELECT memories FROM reach), count(*)) - count(*) + 0.5) / (count(*) + 0.5)) AS weight
    FROM found
    GROUP BY n
),
lexical AS MATERIALIZED (
    SELECT id,
        sum(weight * {k1_plus_1} / (1 + {k1} * ({one_minus_b} + {b} * size / (SELECT avg(size) FROM found)))) AS score
    FROM found JOIN rarity ON rarity.n = found.n
    GROUP BY id
),
{near},
candidates AS MATERIALIZED (
    SELECT id FROM (SELECT * FROM lexical ORDER BY score DESC, id LIMIT :candidates) AS best
    UNION
    SELECT id FROM near
),
scope AS MATERIALIZED (
    SELECT {scope_columns}
    FROM conversation_memory AS r {vectors}
    WHERE {conditions} AND (SELECT memories FROM reach) <= :narrow
    UNION ALL
    SELECT {scope_columns}
    FROM candidates JOIN conversation_memory AS r ON r.id = candidates.id {vectors}
    WHERE (SELECT memories FROM reach) > :narrow
),
ranked AS (
    SELECT s.id,
        :similarity * coalesce(s.similarity, 0)
        + :words_weight * coalesce(l.score / (SELECT max(score) FROM lexical), 0)
        + :importance * s.importance
        + :age * exp(-0.6931471805599453 * {greatest}(s.days, 0) / :half_life_days) AS score
    FROM scope AS s LEFT JOIN lexical AS l ON l.id = s.id
    WHERE l.score IS NOT NULL OR s.similarity IS NOT NULL
    ORDER BY score DESC, s.id
    LIMIT :limit
)
SELECT {read}, ranked.score AS score,
    (SELECT memories FROM reach) <= :narrow {complete} AS complete
FROM ranked JOIN conversation_memory AS r ON r.id = ranked.id
ORDER BY ranked.score DESC, ranked.id
"""

SCOPE_COLUMNS = "r.id, {similarity} AS similarity, r.importance, {days} AS days"
NOT_NEAR = "near AS (SELECT id FROM conversation_memory WHERE 1 = 0)"


@dataclass(frozen=True, slots=True)
class Pieces:
    """The SQL in which the databases differ, for one space and one way to its nearest vectors."""

    words: str
    found: str
    days: str
    greatest: str
    near: str = NOT_NEAR
    vectors: str = ""
    similarity: str = "CAST(NULL AS REAL)"


@dataclass(frozen=True, slots=True)
class MemoryQuery:
    """What is asked, all of it valid. `filters` by the names of the source's."""

    words: list[str]
    space: EmbeddingSpace | None
    vector: NDArray[np.float32] | None
    ranking: RecallRanking
    now: datetime
    limit: int
    filters: Mapping[str, object]
    mode: Mode = "auto"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InvalidInputError("mode", f"is none of {', '.join(MODES)}")

    @property
    def candidates(self) -> int:
        return max(CANDIDATES_A_HIT * self.limit, LEAST_CANDIDATES)


WEIGHTS = {field.name: "words_weight" if field.name == "words" else field.name for field in fields(RecallRanking)}
"""The parameter of each weight; `words` is that of the words themselves."""


@lru_cache(maxsize=1_000)
def statement(pieces: Pieces, filters: tuple[str, ...]) -> sa.TextualSelect:
    """Built once for each form of a question."""
    texts = {
        "conditions": " AND ".join(MEMORIES.filters[name][0] for name in filters) or "1 = 1",
        "k1": str(K1),
        "k1_plus_1": str(K1 + 1),
        "b": str(B),
        "one_minus_b": str(1 - B),
        "greatest": pieces.greatest,
        "vectors": pieces.vectors,
        "read": MEMORIES.read,
        "scope_columns": SCOPE_COLUMNS.format(similarity=pieces.similarity, days=pieces.days),
        # Words alone compare all that hold one of them.
        "complete": "" if pieces.vectors else "OR (SELECT count(*) FROM lexical) <= :candidates",
    }
    for name in ("words", "found", "near"):
        texts[name] = getattr(pieces, name).format(**texts)
    bound = sa.text(SQL.format(**texts))
    types: dict[str, sa.types.TypeEngine[Any]] = {name: MEMORIES.filters[name][1] for name in filters}
    types |= {"vector": Vector(), "space": sa.Uuid(), "now": UTCDateTime()}
    types |= {name: sa.Float() for name in WEIGHTS.values()}
    types |= {name: sa.BigInteger() for name in ("narrow", "counted", "candidates", "limit")}
    known = bound._bindparams
    bound = bound.bindparams(*(sa.bindparam(name, type_=kind) for name, kind in types.items() if name in known))
    columns = [MEMORIES.row_table.c[name] for name in MEMORIES.columns]
    return bound.columns(*columns, sa.column("score", sa.Float), sa.column("complete", sa.Boolean))


async def rank(connection: AsyncConnection, query: MemoryQuery, pieces: Pieces, more: Mapping[str, object]) -> Ranked:
    """Ask, in one statement. `more`: the parameters that one database alone has, or another `narrow`."""
    narrow = {"auto": NARROW, "exact": 2**62, "approximate": -1}[query.mode] if query.vector is not None else -1
    bound: dict[str, object] = {
        **query.filters,
        **{name: getattr(query.ranking, field) for field, name in WEIGHTS.items()},
        "now": query.now,
        "narrow": narrow,
        "counted": NARROW + 1,
        "candidates": query.candidates,
        "limit": query.limit,
        **({} if query.vector is None else {"vector": query.vector}),
        **more,
    }
    rows = (await connection.execute(statement(pieces, tuple(query.filters)), bound)).mappings().all()
    return rows, all(row["complete"] for row in rows)
