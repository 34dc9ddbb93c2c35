"""Memories on PostgreSQL."""

from collections.abc import Mapping
from functools import cache

from database import Session
from repositories.search.contract import Ranked
from repositories.search.memories import MemoryPieces, MemoryQuery, rank
from repositories.search.postgres_hybrid import OF_CUT, WORDS, through_index_or_exactly, with_vectors
from repositories.search.postgres_index import EVERYWHERE, MIDDLING, Scope
from repositories.search.sources import MEMORIES

PIECES = MemoryPieces(
    words=WORDS,
    # OFFSET 0: from row to row.
    telling="""counted AS MATERIALIZED (
    SELECT n, usual, CASE WHEN usual THEN (
        SELECT count(*) FROM (
            SELECT 1 FROM (SELECT search_vector FROM conversation_memory AS r WHERE {conditions} OFFSET 0) AS r
            WHERE r.search_vector @@ w.query
            LIMIT :matches + 1
        ) AS the_first
    ) ELSE (
        SELECT count(*) FROM (
            SELECT 1 FROM conversation_memory AS r WHERE r.search_vector @@ w.query AND {conditions} LIMIT :most + 1
        ) AS the_first
    ) END AS times
    FROM words AS w
),
telling AS MATERIALIZED (
    SELECT n, times, NOT :every_word AND (times > :most OR usual AND times > :matches) AS partly
    FROM counted
    WHERE times > 0
)""",
    found="""found AS MATERIALIZED (
    SELECT weight, partly, frequent, m.*
    FROM rarity JOIN words AS w ON w.n = rarity.n CROSS JOIN LATERAL (
        (SELECT r.id, CAST(length(r.content) AS float8) AS size
        FROM conversation_memory AS r
        WHERE NOT w.usual AND r.search_vector @@ w.query AND {conditions}
        LIMIT :most + 1)
        UNION ALL
        (SELECT r.id, CAST(length(r.content) AS float8) AS size
        FROM (SELECT * FROM conversation_memory AS r WHERE {conditions} OFFSET 0) AS r
        WHERE w.usual AND r.search_vector @@ w.query
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
)

NEAR = """near AS MATERIALIZED (
    SELECT id, row_number() OVER () AS place
    FROM (
        SELECT r.id
        FROM conversation_memory AS r
            JOIN memory_embeddings AS v ON v.memory_id = r.id AND v.embedding_space_id = {space}
        WHERE {{conditions}} AND (SELECT memories FROM reach) > :narrow
        ORDER BY {distance}
        LIMIT {{candidates}}
    ) AS nearest
)"""


async def memories(session: Session, query: MemoryQuery) -> Ranked:
    """A scope without a conversation may be wide."""

    async def ask(approximate: bool, more: Mapping[str, object]) -> Ranked:
        pieces = with_vectors(PIECES, NEAR, "memory_embeddings", "memory_id", query.space, approximate)
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
