"""Memories on SQLite."""

from dataclasses import replace

from database import Session
from repositories.search.contract import Ranked
from repositories.search.memories import MemoryPieces, MemoryQuery, rank
from repositories.search.sources import MEMORIES
from repositories.search.sqlite_hybrid import WORDS, Near, own_parameters, with_vectors

PIECES = MemoryPieces(
    words=WORDS,
    # CROSS JOIN: in this order. Quoted, whatever a word holds is a word.
    found="""found AS MATERIALIZED (
    SELECT w.n, r.id, length(r.content) AS size
    FROM words AS w CROSS JOIN conversation_memory_fts CROSS JOIN conversation_memory_search AS s
        CROSS JOIN conversation_memory AS r
    WHERE conversation_memory_fts MATCH '"' || w.word || '"' AND s.number = conversation_memory_fts.rowid
        AND r.id = s.row_id AND {conditions}
)""",
    days="julianday(:now) - julianday(coalesce(r.occurred_at, r.created_at))",
    greatest="max",
    least="min",
)

NEAR = Near(
    table="memory_embeddings",
    rows="conversation_memory",
    columns="id",
    is_wide="(SELECT memories FROM reach) > :narrow",
    read="SELECT json_extract(hit.value, '$[0]') AS id FROM near_ids, json_each(near_ids.ids, '$.hits') AS hit",
)


async def memories(session: Session, query: MemoryQuery) -> Ranked:
    near = replace(NEAR, conditions=" AND ".join(MEMORIES.filters[name][0] for name in query.filters))
    pieces = with_vectors(PIECES, near, "memory_id", query.space)
    return await rank(session, query, pieces, own_parameters(query, near))
