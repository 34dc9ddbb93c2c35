"""Messages on SQLite: words through FTS5, vectors exactly."""

import json
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from models import EmbeddingSpace, Metric
from repositories.search.contract import Ranked
from repositories.search.messages import MessageQuery, Pieces, rank

WORDS = Pieces(
    words="""words AS MATERIALIZED (
    SELECT key AS n, value AS word FROM json_each(:words)
)""",
    # CROSS JOIN: in this order. Quoted, whatever a word holds is a word.
    found="""found AS MATERIALIZED (
    SELECT w.n, w.word, r.id, r.conversation_id, r.position, r.episode, r.name, length(r.content) AS size
    FROM words AS w CROSS JOIN messages_fts CROSS JOIN messages_search AS s CROSS JOIN messages AS r
        CROSS JOIN conversations AS c
    WHERE messages_fts MATCH '"' || w.word || '"' AND s.number = messages_fts.rowid AND r.id = s.row_id
        AND c.id = r.conversation_id AND {talks}
)""",
    first_name="lower_case(substr(name, 1, instr(name || ' ', ' ') - 1))",
    of_itself="has_word(r.content, :of_itself)",
    days="(julianday(s.sent_at) - julianday(:at))",
    greatest="max",
)

SIMILARITIES = {
    Metric.COSINE: "CASE WHEN v.embedding IS NOT NULL THEN 1 - distance_cosine(v.embedding, :vector) END",
    Metric.INNER_PRODUCT: "CASE WHEN v.embedding IS NOT NULL THEN 0 - distance_inner_product(v.embedding, :vector) END",
    Metric.L2: "CASE WHEN v.embedding IS NOT NULL THEN 1 / (1 + distance_l2(v.embedding, :vector)) END",
}

NEAR = """near_ids AS MATERIALIZED (
    SELECT nearest(r.id, v.embedding, :vector, :metric, :candidates) AS ids
    FROM messages AS r JOIN conversations AS c ON c.id = r.conversation_id
        JOIN message_embeddings AS v ON v.message_id = r.id AND v.embedding_space_id = :space
    WHERE {talks} AND {wanted} AND (SELECT messages FROM reach) > :narrow
),
near AS (
    SELECT r.id, r.conversation_id, r.position
    FROM near_ids, json_each(near_ids.ids) AS hit JOIN messages AS r ON r.id = json_extract(hit.value, '$[0]')
)"""

VECTORS = "LEFT JOIN message_embeddings AS v ON v.message_id = r.id AND v.embedding_space_id = :space"


def pieces(space: EmbeddingSpace | None) -> Pieces:
    if space is None:
        return WORDS
    return replace(
        WORDS,
        near=NEAR,
        vectors=VECTORS,
        similarity=SIMILARITIES[space.metric],
    )


HOLDS = """messages.id IN (
    SELECT s.row_id FROM messages_fts JOIN messages_search AS s ON s.number = messages_fts.rowid
    WHERE messages_fts MATCH :words
)"""


def holds(words: Sequence[str]) -> sa.TextClause:
    """Whether a message holds every one of the words."""
    return sa.text(HOLDS).bindparams(words=" AND ".join(f'"{word}"' for word in words))


async def messages(connection: AsyncConnection, query: MessageQuery) -> Ranked:
    more: dict[str, object] = {"words": json.dumps(list(query.words))}
    if query.space is not None:
        more |= {"space": query.space.id, "metric": query.space.metric.value}
    return await rank(connection, query, pieces(query.space), more)
