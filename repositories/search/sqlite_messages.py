"""Messages on SQLite."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import sqlalchemy as sa

from database import Session
from repositories.search.contract import Ranked
from repositories.search.messages import MessagePieces, MessageQuery, rank
from repositories.search.sqlite_hybrid import WORDS, Near, own_parameters, with_vectors

PIECES = MessagePieces(
    words=WORDS,
    # CROSS JOIN: in this order. Quoted, whatever a word holds is a word.
    found="""found AS MATERIALIZED (
    SELECT w.n, w.word, r.id, r.conversation_id, r.position, r.episode, r.name, r.sent_at,
        length(r.content) AS size
    FROM words AS w CROSS JOIN messages_fts CROSS JOIN messages_search AS s CROSS JOIN messages AS r
        CROSS JOIN conversations AS c
    WHERE messages_fts MATCH '"' || w.word || '"' AND s.number = messages_fts.rowid AND r.id = s.row_id
        AND c.id = r.conversation_id AND {talks}
)""",
    first_name="lower_case(substr(name, 1, instr(name || ' ', ' ') - 1))",
    of_itself="has_word(r.content, :of_itself)",
    days="(julianday(s.sent_at) - julianday(:at))",
    greatest="max",
    least="min",
)

NEAR = Near(
    table="message_embeddings",
    rows="messages",
    columns="id, conversation_id, position",
    is_wide="(SELECT messages FROM reach) > :narrow",
    read="""SELECT r.id, r.conversation_id, r.position
    FROM near_ids CROSS JOIN json_each(near_ids.ids, '$.hits') AS hit CROSS JOIN messages AS r
    WHERE r.id = json_extract(hit.value, '$[0]')""",
)

HOLDS = """messages.id IN (
    SELECT s.row_id FROM messages_fts JOIN messages_search AS s ON s.number = messages_fts.rowid
    WHERE messages_fts MATCH :words
)"""


def holds(words: Sequence[str]) -> sa.ColumnElement[bool]:
    condition = sa.text(HOLDS).bindparams(words=" AND ".join(f'"{word}"' for word in words))
    return sa.type_coerce(condition.self_group(), sa.Boolean)


async def messages(session: Session, query: MessageQuery) -> Ranked:
    near = replace(NEAR, conditions=" AND ".join(_conditions(query)))
    pieces = with_vectors(PIECES, near, "message_id", query.space)
    return await rank(session, query, pieces, own_parameters(query, near))


def _conditions(query: MessageQuery) -> Iterator[str]:
    """The scope, with the parameters that the statement has for it."""
    for name in query.talks:
        yield f"c.{'id' if name == 'conversation_id' else name} = :talk_{name}"
    if query.roles:
        yield f"r.role IN ({', '.join(f':role_{n}' for n in range(len(query.roles)))})"
    if query.since is not None:
        yield "r.sent_at >= :since"
    if query.until is not None:
        yield "r.sent_at < :until"
