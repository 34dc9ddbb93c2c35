"""Messages on SQLite."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import sqlalchemy as sa

from database import Session
from repositories.search.contract import Ranked
from repositories.search.hybrid import NARROW
from repositories.search.messages import MessagePieces, MessageQuery, rank
from repositories.search.sqlite_hybrid import OF_CUT, WORDS, Near, own_parameters, with_vectors
from repositories.search.sqlite_within import WITHIN

COLUMNS = "w.n, w.word, r.id, r.conversation_id, r.position, r.episode, r.name, r.sent_at, s.size"

# CROSS JOIN: in this order. Quoted, whatever a word holds is a word.
FOUND = f"""SELECT {COLUMNS}
    FROM {{of_words}} AS w CROSS JOIN messages_fts AS f CROSS JOIN messages_search AS s CROSS JOIN messages AS r
    WHERE messages_fts MATCH '"' || w.word || '"' AND s.number = f.rowid AND r.id = s.row_id"""

EVERYWHERE = f"""upto AS MATERIALIZED (
    SELECT n, word, (
        SELECT max(number) FROM (
            SELECT f.rowid AS number FROM messages_fts AS f
            WHERE messages_fts MATCH '"' || w.word || '"'
            LIMIT CASE WHEN (SELECT messages FROM reach) <= :narrow THEN -1 ELSE :most + 1 END
        )
    ) AS last
    FROM words AS w
),
found AS MATERIALIZED (
    {FOUND.format(of_words="upto")} AND f.rowid <= w.last
)"""
"""No more rows of a word than decide that it is frequent: a wide table is read for each."""

WITHIN_SCOPE = WITHIN.format(
    table="messages",
    is_narrow=f"(SELECT messages FROM reach) <= {NARROW}",
    inside="""conversations AS c CROSS JOIN messages AS r CROSS JOIN messages_search AS s
            WHERE {talks} AND r.conversation_id = c.id AND s.row_id = r.id""",
)

IN_SCOPE = f"""{WITHIN_SCOPE},
found AS MATERIALIZED (
    SELECT {COLUMNS}
    FROM within AS f CROSS JOIN words AS w CROSS JOIN messages_search AS s CROSS JOIN messages AS r
    WHERE w.n = f.n AND s.number = f.number AND r.id = s.row_id
    UNION ALL
    {FOUND.format(of_words=f"(SELECT * FROM words WHERE (SELECT messages FROM reach) > {NARROW})")}
        AND EXISTS (SELECT 1 FROM conversations AS c WHERE c.id = r.conversation_id AND {{talks}})
)"""

PIECES = MessagePieces(
    words=WORDS,
    found=EVERYWHERE,
    best="""SELECT r.conversation_id, r.position
        FROM json_each((
            SELECT best_of(
                'message_embeddings', :space, :vector, :metric, :similarity, :candidates, json_group_object(id, score)
            ) FROM likely
        )) AS best CROSS JOIN messages AS r
        WHERE r.id = best.value""",
    of_cut=OF_CUT,
    and_wide="AND (SELECT messages FROM reach) > :narrow",
    first_name="lower_case(substr(name, 1, instr(name || ' ', ' ') - 1))",
    of_itself="has_word(r.content, :of_itself)",
    days="(julianday(s.sent_at) - julianday(:at))",
    greatest="max",
    least="min",
)

OF_WORDS = """SELECT conversation_id, position FROM likely ORDER BY score DESC, id LIMIT {candidates}"""

NEAR = Near(
    table="message_embeddings",
    rows="messages",
    columns="id, conversation_id, position",
    compared="""
        SELECT r.id
        FROM reach CROSS JOIN conversations AS c CROSS JOIN messages AS r
        WHERE reach.messages <= :narrow AND {talks} AND r.conversation_id = c.id
        UNION ALL
        SELECT r.id FROM places AS p CROSS JOIN messages AS r
        WHERE r.conversation_id = p.conversation_id AND r.position = p.position
    """,
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
    pieces, near = _pieces(bool(query.talks), " AND ".join(_conditions(query)), query.space is not None)
    return await rank(session, query, pieces, own_parameters(query, near))


@lru_cache(maxsize=1_000)
def _pieces(in_talks: bool, conditions: str, has_vector: bool) -> tuple[MessagePieces, Near]:
    near = replace(NEAR, conditions=conditions)
    pieces = replace(PIECES, found=IN_SCOPE if in_talks else EVERYWHERE)
    return (with_vectors(pieces, near), near) if has_vector else (replace(pieces, best=OF_WORDS), near)


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
