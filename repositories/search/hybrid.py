"""What every search by words and vector shares: what is asked, when all of a scope is compared, how words weigh."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from database import Session
from models import EmbeddingSpace
from models.types import Vector
from repositories.search.contract import Mode, Ranked, check_mode, rows_of
from repositories.search.ranking import Ranking, RecallRanking

NARROW = 5_000
"""Rows of a scope that are all compared: some tens of milliseconds, and nothing can be missed."""

EVERYTHING = 2**62
"""More rows than there are: all of any scope is compared."""

MOST_MATCHES = 3_000
"""Rows that hold a word, for the word to tell something: one that more rows hold counts only where no other is asked.
What more of them find is worth less than the time that it takes."""

MOST_ALONE = 10_000
"""Memories that hold a word, for all of them to be looked at where no rarer word is asked. Of a word that more of them
hold some are among the nearest by vector, which are asked for it."""

EVERY_WORD: Mapping[str, object] = {"most": EVERYTHING, "every_word": True}
"""All rows of every word are looked at."""

LIKELY_A_CANDIDATE = 5
"""Rows with words whose vectors are looked at, for each that becomes a candidate."""

CANDIDATES_A_HIT = 4
LEAST_CANDIDATES = 200
"""Of each kind in a wide scope; recall from so many equals that of the whole to three places (docs/ranking.md)."""

K1, B = 1.2, 0.4
"""BM25: how soon more of a word stops counting, and how much a long text is held back (1: in full)."""

BM25 = {
    "k1": str(K1),
    "k1_plus_1": str(K1 + 1),
    "bm25": f"{K1 + 1} / (1 + {K1} * ({1 - B} + {B} * size / typical_size))",
    "bm25_heard": f"{K1 + 1} / (1 + {K1} * ({1 - B} + {B} * size / coalesce(typical_size, mean_size)))",
}
"""`bm25`: of a row of `size` that holds a word once."""

RARITY = """rarity AS MATERIALIZED (
    SELECT counted.*, times > :matches AND min(times) OVER () <= :matches AS frequent,
        ln(CAST(1 + (of_rows - in_rows + 0.5) / (in_rows + 0.5) AS DOUBLE PRECISION)) AS weight
    FROM (
        SELECT t.*, {least}({rows}, :matches) AS of_rows, {least}(times, {rows}, :matches) AS in_rows
        FROM telling AS t CROSS JOIN reach
    ) AS counted
),
cut AS MATERIALIZED (
    SELECT w.*, weight FROM rarity JOIN words AS w ON w.n = rarity.n WHERE partly AND NOT frequent
)"""
"""Of the words that are `telling`: which are `frequent` beside a rarer one, and what each weighs. Rarity is counted as
in a scope of `matches` rows, however wide it is: towards so many a word's weight goes to nothing, and in every mode.
Those are `cut` that count and whose rows are met only `partly`, or not at all."""

TOLD = """heard AS MATERIALIZED (
    SELECT of_cut.*, avg(size) OVER () AS mean_size FROM (
    {of_cut}
    ) AS of_cut
),
common AS MATERIALIZED (
    SELECT id, sum(weight * {bm25_heard}) AS score FROM heard CROSS JOIN typical GROUP BY id
),
told AS MATERIALIZED (
    SELECT s.*, CASE WHEN EXISTS (SELECT 1 FROM cut) THEN max(score) OVER () ELSE max(of_known) OVER () END AS highest
    FROM (
        SELECT s.*, l.highest AS of_known,
            CASE WHEN l.{all_of} IS NULL THEN k.score ELSE l.{all_of} + coalesce(k.score, 0) END AS score
        FROM scope AS s LEFT JOIN lexical AS l ON l.id = s.id LEFT JOIN common AS k ON k.id = s.id
    ) AS s
)"""
"""The words of each row of the scope: those whose rows were all met are `known`, for the others each row is asked.
In windows: SQLite prepares a CTE anew for each reference to it."""

TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "vector": Vector(),
    "space": sa.Uuid(),
    "narrow": sa.BigInteger(),
    "matches": sa.BigInteger(),
    "most": sa.BigInteger(),
    "every_word": sa.Boolean(),
    "alone": sa.Boolean(),
    "few": sa.BigInteger(),
    "candidates": sa.BigInteger(),
    "limit": sa.BigInteger(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridQuery:
    """What is asked, all of it valid. No words: `words` is empty; no vector: `space` and `vector` are None."""

    words: Sequence[str]
    space: EmbeddingSpace | None
    vector: NDArray[np.float32] | None
    limit: int
    mode: Mode = "auto"

    def __post_init__(self) -> None:
        check_mode(self.mode)

    @property
    def candidates(self) -> int:
        return candidates_for(self.limit)

    @property
    def narrow(self) -> int:
        """How many rows a scope may have to be compared whole; words alone need no look at rows without any."""
        if self.vector is None:
            return -1
        return {"auto": NARROW, "exact": EVERYTHING, "approximate": -1}[self.mode]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """The SQL in which the databases differ, for one space and one way to its nearest vectors."""

    words: str
    found: str
    best: str
    of_cut: str
    days: str
    greatest: str
    least: str
    near: str
    measured: str = ""
    each_row: str = "{table} AS r {vectors}"
    """Of a narrow scope, each with its vector."""
    vectors: str = ""
    similarity: str = "CAST(NULL AS REAL)"

    @property
    def complete(self) -> str:
        """Besides a narrow scope: words alone compare all that hold one of them, as far as these are candidates."""
        if self.vectors:
            return ""
        return """OR (SELECT count(*) FROM lexical) <= :candidates
        AND NOT EXISTS (SELECT 1 FROM rarity WHERE partly OR frequent AND NOT :every_word)"""


def candidates_for(limit: int) -> int:
    return max(CANDIDATES_A_HIT * limit, LEAST_CANDIDATES)


def limits(candidates: int, likely: int) -> dict[str, str]:
    """As literals: PostgreSQL takes a bound limit for a tenth of all rows where it plans for any question at once."""
    return {"candidates": str(int(candidates)), "likely": str(int(likely))}


def weight(part: str) -> str:
    """The parameter of a part's weight; `words` is that of the words themselves."""
    return "words_weight" if part == "words" else part


def bound(
    sql: str,
    ranking: type[Ranking | RecallRanking],
    types: Mapping[str, sa.types.TypeEngine[Any]],
    columns: Sequence[sa.ColumnClause[Any]],
) -> sa.TextualSelect:
    """`sql` with the types of its parameters, and of the columns that it answers before `score`, whether the scope is
    compared whole (`complete`), and how many of the nearest are candidates (`met`)."""
    text = sa.text(sql)
    known = TYPES | {weight(field.name): sa.Float() for field in fields(ranking)} | dict(types)
    asked = (sa.bindparam(name, type_=kind) for name, kind in known.items() if name in text._bindparams)
    text = text.bindparams(*asked)
    return text.columns(*columns, sa.column("score", sa.Float), sa.column("complete", sa.Boolean), sa.column("met"))


def parameters(query: HybridQuery, ranking: Ranking | RecallRanking, most: int) -> dict[str, object]:
    """Those of every search; what one database or one table has besides is added to them. `most`: rows of a word."""
    return {
        "narrow": query.narrow,
        "matches": MOST_MATCHES,
        **(EVERY_WORD if query.mode == "exact" else {"most": most, "every_word": False}),
        "candidates": query.candidates,
        "limit": query.limit,
        **{weight(field.name): getattr(ranking, field.name) for field in fields(ranking)},
        **({} if query.vector is None else {"vector": query.vector}),
    }


async def ask(session: Session, statement: sa.TextualSelect, values: Mapping[str, object]) -> Ranked:
    rows = await rows_of(session, statement, values)
    return rows, all(row["complete"] for row in rows)
