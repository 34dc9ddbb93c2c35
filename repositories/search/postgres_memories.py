"""Memories on PostgreSQL."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from database import Session
from repositories.search.contract import Ranked
from repositories.search.memories import REACH, MemoryPieces, MemoryQuery, rank
from repositories.search.postgres_hybrid import (
    OF_CUT,
    WORDS,
    hidden,
    hidden_but_filters,
    through_index_or_exactly,
    with_vectors,
)
from repositories.search.postgres_index import EVERYWHERE, MIDDLING, Scope
from repositories.search.sources import MEMORIES

REACH_OF_ALL = f"""CASE WHEN EXISTS (
        SELECT 1 FROM pg_class WHERE oid = CAST('conversation_memory' AS regclass) AND reltuples > 10 * :counted
    ) THEN :counted ELSE {REACH} END"""
"""What the server reckons with will do where there are many times more: to count the first rows takes a millisecond."""

PIECES = MemoryPieces(
    words=WORDS,
    reach_of_all=REACH_OF_ALL,
    # OFFSET 0: from row to row. Of other words no more rows than tell that one is frequent, and those at once, unless
    # there are none but such words.
    telling="""met AS MATERIALIZED (
    SELECT n, m.*
    FROM words AS w CROSS JOIN LATERAL (
        (SELECT r.id, CAST(length(r.content) AS float8) AS size
        FROM conversation_memory AS r
        WHERE NOT usual AND r.search_vector @@ w.query AND {conditions}
        LIMIT CASE WHEN :every_word THEN :most ELSE :matches + 1 END)
        UNION ALL
        SELECT r.id, CAST(length(r.content) AS float8) AS size
        FROM (SELECT id, content, search_vector FROM conversation_memory AS r WHERE {conditions} OFFSET 0) AS r
        WHERE usual AND (SELECT memories FROM reach) <= :matches AND r.search_vector @@ w.query
    ) AS m
),
first_counted AS MATERIALIZED (
    SELECT n, usual, query, CASE WHEN usual AND (SELECT memories FROM reach) > :matches THEN (
        SELECT count(*) FROM (
            SELECT 1 FROM (SELECT search_vector FROM conversation_memory AS r WHERE {conditions} OFFSET 0) AS r
            WHERE r.search_vector @@ w.query
            LIMIT :matches + 1
        ) AS the_first
    ) ELSE (SELECT count(*) FROM met WHERE met.n = w.n) END AS times
    FROM words AS w
),
all_frequent AS MATERIALIZED (
    SELECT NOT :every_word AND min(times) > :matches AS yes FROM first_counted WHERE times > 0
),
counted AS MATERIALIZED (
    SELECT n, usual, CASE WHEN NOT usual AND (SELECT yes FROM all_frequent) THEN (
        SELECT count(*) FROM (
            SELECT 1 FROM conversation_memory AS r WHERE r.search_vector @@ w.query AND {conditions} LIMIT :most + 1
        ) AS the_first
    ) ELSE times END AS times
    FROM first_counted AS w
),
telling AS MATERIALIZED (
    SELECT n, times, NOT :every_word AND (times > :most OR usual AND times > :matches) AS partly
    FROM counted
    WHERE times > 0
)""",
    found="""found AS MATERIALIZED (
    SELECT weight, partly, frequent, id, size
    FROM rarity JOIN met USING (n)
    WHERE {asked} AND (SELECT yes FROM all_frequent) IS NOT TRUE
    UNION ALL
    SELECT weight, partly, frequent, m.*
    FROM rarity JOIN words AS w ON w.n = rarity.n CROSS JOIN LATERAL (
        (SELECT r.id, CAST(length(r.content) AS float8) AS size
        FROM conversation_memory AS r
        WHERE NOT w.usual AND (SELECT yes FROM all_frequent) AND r.search_vector @@ w.query AND {conditions}
        LIMIT :most + 1)
        UNION ALL
        (SELECT r.id, CAST(length(r.content) AS float8) AS size
        FROM (SELECT id, content, search_vector FROM conversation_memory AS r WHERE {conditions} OFFSET 0) AS r
        WHERE w.usual AND (SELECT memories FROM reach) > :matches AND r.search_vector @@ w.query
        LIMIT CASE WHEN :every_word THEN :most ELSE :matches + 1 END)
    ) AS m
    WHERE {asked}
)""",
    best="""SELECT id FROM (
        SELECT r.id FROM likely AS r {vectors}
        ORDER BY r.score + :similarity * coalesce({similarity}, 0) DESC, r.id
        LIMIT {few}
    ) AS best""",
    from_near="SELECT id FROM near WHERE place <= {few} OR EXISTS (SELECT 1 FROM cut)",
    of_cut=OF_CUT,
    days="CAST(extract(epoch FROM :now - coalesce(r.occurred_at, r.created_at)) AS float8) / 86400",
    greatest="greatest",
    least="least",
    among="JOIN conversation_memory AS r ON r.id = v.memory_id",
    finish=hidden,
)

NEAR = """near AS MATERIALIZED (
    SELECT id, row_number() OVER () AS place, {{similarity}} AS similarity
    FROM (
        SELECT v.memory_id AS id, v.embedding
        FROM memory_embeddings AS v {{among}}
        WHERE v.embedding_space_id = {space} AND {{conditions}} AND (SELECT memories FROM reach) > :narrow
            AND {widely}
        ORDER BY {distance}
        LIMIT {{candidates}}
    ) AS v
),
best_near AS MATERIALIZED (
    SELECT greatest(min(similarity), 0) AS least_similarity, (
        SELECT :words_weight * coalesce(l.score / l.highest, 0) + :similarity * n.similarity
        FROM near AS n LEFT JOIN lexical AS l ON l.id = n.id
        ORDER BY 1 DESC
        LIMIT 1 OFFSET {{few}} - 1
    ) AS score
    FROM near
)"""
"""`best_near`: the score that enough of the nearest have, so that a lower one is none of the best."""

WORTH = """LEFT JOIN near USING (id) JOIN best_near AS b ON b.score IS NULL
        OR :words_weight * lexical.score / highest
            + :similarity * coalesce(similarity, least_similarity) >= b.score"""
"""What is not among the nearest is no nearer than the last of them: few rows with words are left to look up."""


async def memories(session: Session, query: MemoryQuery) -> Ranked:
    """A scope without a conversation may be wide."""

    async def ask(approximate: bool, more: Mapping[str, object]) -> Ranked:
        pieces = with_vectors(PIECES, NEAR, "memory_embeddings", "memory_id", query.space, approximate)
        if query.space is not None:
            pieces = replace(pieces, worth=WORTH, finish=hidden_but_filters if approximate else hidden)
        return await rank(session, query, pieces, {"words": list(query.words), **more})

    scope = None if "conversation_id" in query.filters else _scope(tuple(query.filters))
    return await through_index_or_exactly(session, query, "memory_embeddings", scope, query.filters, ask)


@cache
def _scope(filters: tuple[str, ...]) -> Scope:
    if not filters:
        return EVERYWHERE
    conditions = " AND ".join(MEMORIES.filters[name][0] for name in filters)
    first = f"SELECT 1 FROM conversation_memory AS r WHERE {conditions} LIMIT {MIDDLING + 1}"
    types = tuple((name, MEMORIES.filters[name][1]) for name in filters)
    return Scope(f"SELECT count(*) FROM ({first}) AS the_first", types)
