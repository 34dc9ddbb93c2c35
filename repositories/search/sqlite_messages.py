"""Messages on SQLite."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from repositories.search.contract import Ranked
from repositories.search.messages import MessagePieces, MessageQuery, rank
from repositories.search.sqlite_hybrid import WORDS, Near, own_parameters, with_vectors

PIECES = MessagePieces(
    words=WORDS,
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

NEAR = Near(
    rows="messages AS r JOIN conversations AS c ON c.id = r.conversation_id "
    "JOIN message_embeddings AS v ON v.message_id = r.id",
    conditions="{talks} AND {wanted}",
    is_wide="(SELECT messages FROM reach) > :narrow",
    read="""SELECT r.id, r.conversation_id, r.position
    FROM near_ids, json_each(near_ids.ids) AS hit JOIN messages AS r ON r.id = json_extract(hit.value, '$[0]')""",
)

HOLDS = """messages.id IN (
    SELECT s.row_id FROM messages_fts JOIN messages_search AS s ON s.number = messages_fts.rowid
    WHERE messages_fts MATCH :words
)"""


def holds(words: Sequence[str]) -> sa.ColumnElement[bool]:
    condition = sa.text(HOLDS).bindparams(words=" AND ".join(f'"{word}"' for word in words))
    return sa.type_coerce(condition.self_group(), sa.Boolean)


async def messages(connection: AsyncConnection, query: MessageQuery) -> Ranked:
    pieces = with_vectors(PIECES, NEAR, "message_embeddings", "message_id", query.space)
    filtered = bool(query.talks or query.roles or query.since or query.until)
    return await rank(connection, query, pieces, own_parameters(query, filtered))
