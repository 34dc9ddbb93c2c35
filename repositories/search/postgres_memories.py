"""Memories on PostgreSQL."""

from collections.abc import Mapping

from database import Session
from repositories.search.contract import Ranked
from repositories.search.memories import MemoryPieces, MemoryQuery, rank
from repositories.search.postgres_hybrid import OF_CUT, WORDS, through_index_or_exactly, with_vectors

PIECES = MemoryPieces(
    words=WORDS,
    found="""found AS MATERIALIZED (
    SELECT w.n, m.*
    FROM words AS w CROSS JOIN LATERAL (
        SELECT r.id, CAST(length(r.content) AS float8) AS size
        FROM conversation_memory AS r
        WHERE r.search_vector @@ w.query AND {conditions}
        LIMIT :most + 1
    ) AS m
)""",
    of_cut=OF_CUT.format(table="conversation_memory"),
    days="CAST(extract(epoch FROM :now - coalesce(r.occurred_at, r.created_at)) AS float8) / 86400",
    greatest="greatest",
    least="least",
)

NEAR = """near AS MATERIALIZED (
    SELECT r.id
    FROM conversation_memory AS r JOIN memory_embeddings AS v ON v.memory_id = r.id AND v.embedding_space_id = {space}
    WHERE {{conditions}} AND (SELECT memories FROM reach) > :narrow
    ORDER BY {distance}
    LIMIT {{candidates}}
)"""


async def memories(session: Session, query: MemoryQuery) -> Ranked:
    """A scope without a conversation may be wide."""

    async def ask(approximate: bool, more: Mapping[str, object]) -> Ranked:
        pieces = with_vectors(PIECES, NEAR, "memory_embeddings", "memory_id", query.space, approximate)
        return await rank(session, query, pieces, {"words": list(query.words), **more})

    wide = "conversation_id" not in query.filters
    return await through_index_or_exactly(session, query, "memory_embeddings", wide, ask)
