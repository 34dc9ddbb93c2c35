"""Memories by words, or by words and vector, with what their importance and age add: one statement.

As for messages, without what only talk has: a narrow scope is compared whole, of a wide one the best by words and the
nearest by vector are candidates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import sqlalchemy as sa

from database import Session
from models.types import UTCDateTime
from repositories.search import hybrid
from repositories.search.contract import Ranked
from repositories.search.hybrid import BM25, NARROW, RARITY, TOLD, HybridQuery, Pieces, ask, bound, limits, parameters
from repositories.search.ranking import RecallRanking
from repositories.search.sources import MEMORIES

SQL = """
WITH reach AS MATERIALIZED (
    SELECT {reach} AS memories
),
{words},
{telling},
{rarity},
{found},
{lexical},
{near},
likely AS MATERIALIZED (
    SELECT id, :words_weight * lexical.score / highest AS score
    FROM lexical {worth}
    WHERE (SELECT memories FROM reach) > :narrow
    ORDER BY score DESC, id
    LIMIT {likely}
),
candidates AS MATERIALIZED (
    {best}
    UNION
    {from_near}
),
{measured}scope AS MATERIALIZED (
    SELECT {scope_columns}
    FROM reach CROSS JOIN {each_row}
    WHERE reach.memories <= :narrow AND {conditions}
    UNION ALL
    SELECT {scope_columns}
    FROM candidates JOIN conversation_memory AS r ON r.id = candidates.id {vectors}
    WHERE (SELECT memories FROM reach) > :narrow
),
{told},
ranked AS (
    SELECT id,
        :similarity * coalesce(similarity, 0)
        + :words_weight * coalesce(t.score / highest, 0)
        + :importance * importance
        + :age * exp(-0.6931471805599453 * {greatest}(days, 0) / :half_life_days) AS score
    FROM told AS t
    WHERE t.score IS NOT NULL OR similarity IS NOT NULL
    ORDER BY score DESC, id
    LIMIT :limit
)
SELECT {read}, ranked.score AS score,
    (SELECT memories FROM reach) <= :narrow {complete} AS complete, (SELECT count(*) FROM near) AS met
FROM (SELECT * FROM ranked LIMIT {candidates}) AS ranked JOIN conversation_memory AS r ON r.id = ranked.id
ORDER BY ranked.score DESC, ranked.id
"""

REACH = "(SELECT count(*) FROM (SELECT 1 FROM conversation_memory AS r WHERE {conditions} LIMIT :counted) AS the_first)"
"""Rows of the scope, up to so many."""

LEXICAL = """typical AS MATERIALIZED (
    SELECT avg(size) AS typical_size FROM found WHERE NOT frequent
),
lexical AS MATERIALIZED (
    SELECT id, sum(weight * {bm25}) AS score{known}, max(sum(weight * {bm25})) OVER () AS highest
    FROM found CROSS JOIN typical
    GROUP BY id
)"""

LIKELY = 10_000
"""Rows with words whose vectors are looked at: each of some words that are not frequent."""

FEW_A_HIT = 2

SCOPE_COLUMNS = "r.id, {similarity} AS similarity, r.importance, {days} AS days"
PLAIN_COLUMNS = "r.id, {similarity} AS similarity, 0 AS importance, 0 AS days"
"""Where neither counts: an index alone tells which rows a scope has, and the rows themselves are not read."""
NOT_NEAR = "near AS (SELECT id, 1 AS place FROM conversation_memory WHERE 1 = 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryQuery(HybridQuery):
    """What is asked of memories. `filters` by the names of the source's."""

    ranking: RecallRanking
    now: datetime
    filters: Mapping[str, object]

    @property
    def is_plain(self) -> bool:
        """Nothing counts but words and vector."""
        return not self.ranking.importance and not self.ranking.age

    @property
    def few(self) -> int:
        """Candidates of each kind where nothing counts but what chooses them."""
        return FEW_A_HIT * self.limit if self.is_plain and self.vector is not None else self.candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPieces(Pieces):
    telling: str
    reach_of_all: str = REACH
    """Where nothing is filtered."""
    from_near: str = "SELECT id FROM near"
    lexical: str = LEXICAL
    near: str = NOT_NEAR
    among: str = ""
    """Joined to the vectors where there are filters."""
    worth: str = ""
    """Joined to rows with words: those alone whose vectors are worth a look."""
    finish: Callable[[str, Sequence[str]], str] = lambda sql, filters: sql
    """What is done to the whole statement, whose filters have parameters of these names."""

    @property
    def asked(self) -> str:
        """Of which words the rows are looked for. Some of the rows of a `cut` word are no better than the nearest."""
        return "(NOT frequent AND (NOT partly OR :alone) OR :every_word)"


PIECES = (
    "words",
    "telling",
    "found",
    "lexical",
    "near",
    "best",
    "from_near",
    "worth",
    "measured",
    "each_row",
    "of_cut",
)


@lru_cache(maxsize=1_000)
def statement(
    dialect: MemoryPieces, candidates: int, few: int, is_plain: bool, filters: tuple[str, ...]
) -> sa.TextualSelect:
    """Built once for each form of a question."""
    pieces = {
        **BM25,
        **limits(candidates, LIKELY),
        "few": str(int(few)),
        "table": "conversation_memory",
        "conditions": " AND ".join(MEMORIES.filters[name][0] for name in filters) or "1 = 1",
        "greatest": dialect.greatest,
        "least": dialect.least,
        "vectors": dialect.vectors,
        "similarity": dialect.similarity,
        "read": MEMORIES.read,
        "complete": dialect.complete,
        "asked": dialect.asked,
        # Beside a vector no row of a word is sought that is met partly.
        "known": f", sum(CASE WHEN NOT partly THEN weight * {BM25['bm25']} END) AS known"
        if not dialect.vectors
        else "",
        "all_of": "known" if not dialect.vectors else "score",
        "scope_columns": (PLAIN_COLUMNS if is_plain else SCOPE_COLUMNS).format(
            similarity=dialect.similarity, days=dialect.days
        ),
    }
    pieces["among"] = dialect.among if filters else ""
    pieces["reach"] = (REACH if filters else dialect.reach_of_all).format(**pieces)
    pieces |= {name: getattr(dialect, name).format(**pieces) for name in PIECES}
    pieces |= {"rarity": RARITY.format(**pieces, rows="memories"), "told": TOLD.format(**pieces)}
    types = {name: MEMORIES.filters[name][1] for name in filters} | {"now": UTCDateTime(), "counted": sa.BigInteger()}
    columns = [MEMORIES.row_table.c[name] for name in MEMORIES.columns]
    return bound(dialect.finish(SQL.format(**pieces), filters), RecallRanking, types, columns)


async def rank(session: Session, query: MemoryQuery, pieces: MemoryPieces, more: Mapping[str, object]) -> Ranked:
    """Ask, in one statement. `more`: the parameters that one database alone has, or another `narrow`."""
    values = parameters(query, query.ranking, hybrid.MOST_ALONE) | {
        **query.filters,
        "now": query.now,
        "counted": NARROW + 1,
        "few": query.few,
        "alone": query.vector is None,
        **more,
    }
    form = statement(pieces, query.candidates, query.few, query.is_plain, tuple(query.filters))
    return await ask(session, form, values)
