"""Memories on SQLite."""

from dataclasses import replace

from database import Session
from repositories.search.contract import Ranked
from repositories.search.memories import MemoryPieces, MemoryQuery, rank
from repositories.search.sources import MEMORIES
from repositories.search.sqlite_hybrid import OF_CUT, WORDS, Near, own_parameters, with_vectors

FEW = "CASE WHEN EXISTS (SELECT 1 FROM cut) THEN :candidates / 2 ELSE :few END"
"""Of each kind: a row without words that is not among so many nearest ones is worth less than each of them. The nearest
are asked for the words that are cut, and so there are more of them."""

PIECES = MemoryPieces(
    words=WORDS,
    inside="""inside AS MATERIALIZED (
    SELECT s.number
    FROM reach CROSS JOIN conversation_memory AS r CROSS JOIN conversation_memory_search AS s
    WHERE memories < :counted AND {conditions} AND s.row_id = r.id
),
""",
    # The rows of a narrow scope are known by their numbers; of a wide one each row is looked up.
    among="""AND CASE WHEN (SELECT memories FROM reach) < :counted
            THEN conversation_memory_fts.rowid IN (SELECT number FROM inside)
            ELSE EXISTS (
                SELECT 1 FROM conversation_memory_search AS s CROSS JOIN conversation_memory AS r
                WHERE s.number = conversation_memory_fts.rowid AND r.id = s.row_id AND {conditions}
            ) END""",
    # Quoted, whatever a word holds is a word.
    telling="""{inside}counted AS MATERIALIZED (
    SELECT n, word, (
        SELECT count(*) FROM (
            SELECT 1 FROM conversation_memory_fts
            WHERE conversation_memory_fts MATCH '"' || w.word || '"' {among}
            LIMIT :most + 1
        )
    ) AS times
    FROM words AS w
),
telling AS MATERIALIZED (
    SELECT n, times, times > :most AS partly,
        CASE WHEN times > :most AND :alone THEN (
            SELECT max(number) FROM (
                SELECT conversation_memory_fts.rowid AS number FROM conversation_memory_fts
                WHERE conversation_memory_fts MATCH '"' || w.word || '"' {among}
                LIMIT :most + 1
            )
        ) END AS last
    FROM counted AS w
    WHERE times > 0
)""",
    # CROSS JOIN: in this order.
    found="""found AS MATERIALIZED (
    SELECT weight, partly, frequent, r.id, length(r.content) AS size
    FROM rarity AS t CROSS JOIN words AS w CROSS JOIN conversation_memory_fts
        CROSS JOIN conversation_memory_search AS s CROSS JOIN conversation_memory AS r
    WHERE w.n = t.n AND {asked} AND conversation_memory_fts MATCH '"' || w.word || '"'
        AND conversation_memory_fts.rowid <= coalesce(t.last, 9223372036854775807) {among}
        AND s.number = conversation_memory_fts.rowid AND r.id = s.row_id
)""",
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

ALONE = replace(
    PIECES, best="SELECT id FROM (SELECT id FROM likely ORDER BY score DESC, id LIMIT {candidates}) AS best"
)

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
    near = replace(NEAR, conditions=" AND ".join(MEMORIES.filters[name][0] for name in query.filters))
    pieces = with_vectors(PIECES if query.space else ALONE, near, query.space)
    return await rank(session, query, pieces, own_parameters(query, near))
