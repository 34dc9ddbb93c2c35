"""Memories on SQLite."""

from dataclasses import replace
from functools import lru_cache

from database import Session
from repositories.search.contract import Ranked
from repositories.search.hybrid import K1, B
from repositories.search.memories import LIKELY, NOT_NEAR, MemoryPieces, MemoryQuery, rank
from repositories.search.sources import MEMORIES
from repositories.search.sqlite_hybrid import OF_CUT, WORDS, Near, own_parameters, with_vectors
from repositories.search.sqlite_within import WITHIN

FEW = "CASE WHEN EXISTS (SELECT 1 FROM cut) THEN :candidates / 2 ELSE :few END"
"""Of each kind: a row without words that is not among so many nearest ones is worth less than each of them. The nearest
are asked for the words that are cut, and so there are more of them."""


def telling(among: str = "", and_wide: str = "", within: str = "") -> str:
    """Quoted, whatever a word holds is a word."""
    rows = f"""
        SELECT f.rowid AS number FROM conversation_memory_fts AS f
        WHERE conversation_memory_fts MATCH '"' || w.word || '"' {among}
        LIMIT :most + 1
    """
    return f"""counted AS MATERIALIZED (
    SELECT n, word, (SELECT count(*) FROM ({rows})) AS times FROM words AS w {and_wide}
),
telling AS MATERIALIZED (
    SELECT n, times, times > :most AS partly,
        CASE WHEN times > :most AND :alone THEN (SELECT max(number) FROM ({rows})) END AS last
    FROM counted AS w
    WHERE times > 0
    {within}
)"""


def found(among: str = "", within: str = "") -> str:
    """CROSS JOIN: in this order."""
    return f"""found AS MATERIALIZED (
    SELECT weight, partly, frequent, s.row_id AS id, s.size
    FROM rarity AS t CROSS JOIN words AS w CROSS JOIN conversation_memory_fts AS f
        CROSS JOIN conversation_memory_search AS s
    WHERE w.n = t.n AND {{asked}} AND conversation_memory_fts MATCH '"' || w.word || '"'
        AND f.rowid <= coalesce(t.last, 9223372036854775807) AND s.number = f.rowid {among}
    {within}
)"""


IS_WIDE = "(SELECT memories FROM reach) >= :counted"

AMONG = """AND EXISTS (
            SELECT 1 FROM conversation_memory_search AS s CROSS JOIN conversation_memory AS r
            WHERE s.number = f.rowid AND r.id = s.row_id AND {conditions}
        )"""
"""In a wide scope each row is looked up."""

WITHIN_SCOPE = WITHIN.format(
    table="conversation_memory",
    is_narrow="(SELECT memories FROM reach) < :counted",
    inside="""conversation_memory AS r CROSS JOIN conversation_memory_search AS s
            WHERE {conditions} AND s.row_id = r.id""",
)

TELLING = f"""{WITHIN_SCOPE},
{telling(AMONG, f"WHERE {IS_WIDE}", "UNION ALL SELECT n, count(*), 0, NULL FROM within GROUP BY n")}"""

FOUND = found(
    f"AND {IS_WIDE} {AMONG}",
    """UNION ALL
    SELECT weight, partly, frequent, s.row_id, s.size
    FROM within AS f CROSS JOIN rarity AS t CROSS JOIN conversation_memory_search AS s
    WHERE t.n = f.n AND {asked} AND s.number = f.number""",
)

REACH_OF_ALL = """CASE WHEN EXISTS (SELECT 1 FROM conversation_memory LIMIT 1 OFFSET :counted - 1) THEN :counted
    ELSE (SELECT count(*) FROM conversation_memory) END"""
"""A third of the time in which so many are counted one by one."""

PIECES = MemoryPieces(
    words=WORDS,
    reach_of_all=REACH_OF_ALL,
    telling=telling(),
    found=found(),
    best=f"""SELECT best.value AS id
    FROM json_each((
        SELECT best_of('memory_embeddings', :space, :vector, :metric, :similarity, {FEW}, json_group_object(id, score))
        FROM likely
    )) AS best""",
    of_cut=OF_CUT,
    days="julianday(:now) - julianday(coalesce(r.occurred_at, r.created_at))",
    greatest="max",
    least="min",
)

FILTERED = replace(PIECES, telling=TELLING, found=FOUND)

OF_WORDS = "SELECT id FROM (SELECT id FROM likely ORDER BY score DESC, id LIMIT {candidates}) AS best"

SCORED = f"""scored AS MATERIALIZED (
    SELECT likeliest(
        'conversation_memory', 'memory_embeddings', :space, :vector, :metric, :similarity, :words_weight,
        CASE WHEN (SELECT memories FROM reach) > :narrow THEN {FEW} ELSE -1 END, {LIKELY}, {K1}, {B},
        (SELECT json_group_array(json_array(w.word, printf('%!.17g', weight)))
            FROM rarity AS t CROSS JOIN words AS w WHERE w.n = t.n AND {{asked}})
    ) AS found
)"""
"""Of everything no row is met for its words alone. As JSON itself writes a number, it would lose its last digits."""

BEST_SCORED = "SELECT one.key AS id FROM scored CROSS JOIN json_each(scored.found, '$.similarities') AS one"

MEASURED_SCORED = """measured AS MATERIALIZED (
    SELECT one.key AS id, one.value AS similarity
    FROM scored CROSS JOIN json_each(
        CASE WHEN (SELECT memories FROM reach) > :narrow THEN json_extract(scored.found, '$.similarities')
        ELSE similarities(
            'memory_embeddings', :space, :vector, :metric, (SELECT json_group_array(id) FROM conversation_memory)
        ) END
    ) AS one
),
"""

LEXICAL = """typical AS MATERIALIZED (
    SELECT json_extract(found, '$.typical') AS typical_size FROM scored
),
lexical AS MATERIALIZED (
    SELECT one.key AS id, one.value AS score, max(one.value) OVER () AS highest
    FROM scored CROSS JOIN json_each(scored.found, '$.scores') AS one
)"""

NEAR = Near(
    table="memory_embeddings",
    rows="conversation_memory",
    columns="id",
    compared="""
        SELECT r.id FROM reach CROSS JOIN conversation_memory AS r WHERE memories <= :narrow AND {conditions}
        UNION ALL
        SELECT id FROM reach CROSS JOIN candidates WHERE memories > :narrow
    """,
    count=FEW,
    is_wide="(SELECT memories FROM reach) > :narrow",
    read="SELECT json_extract(hit.value, '$[0]') AS id FROM near_ids, json_each(near_ids.ids, '$.hits') AS hit",
)


async def memories(session: Session, query: MemoryQuery) -> Ranked:
    pieces, near = _pieces(tuple(query.filters), query.space is not None, query.mode == "exact")
    return await rank(session, query, pieces, own_parameters(query, near))


@lru_cache(maxsize=1_000)
def _pieces(filters: tuple[str, ...], has_vector: bool, is_exact: bool) -> tuple[MemoryPieces, Near]:
    near = replace(NEAR, conditions=" AND ".join(MEMORIES.filters[name][0] for name in filters))
    if not has_vector:
        return replace(FILTERED if filters else PIECES, best=OF_WORDS), near
    pieces = with_vectors(FILTERED if filters else PIECES, near)
    if filters or is_exact:
        return pieces, near
    scored = replace(pieces, found=SCORED, lexical=LEXICAL, best=BEST_SCORED, measured=MEASURED_SCORED, near=NOT_NEAR)
    return scored, near
