"""Messages on PostgreSQL."""

from collections.abc import Mapping, Sequence
from functools import cache

import sqlalchemy as sa

from database import Session
from repositories.search.contract import Ranked
from repositories.search.messages import TYPES, MessagePieces, MessageQuery, of_talks, rank, talk_values
from repositories.search.postgres_hybrid import OF_CUT, WORDS, through_index_or_exactly, with_vectors
from repositories.search.postgres_index import EVERYWHERE, Scope

PIECES = MessagePieces(
    words=WORDS,
    # A row of a wide table is fetched for each match: no more of them than decide that a word is frequent.
    found="""found AS MATERIALIZED (
    SELECT w.n, w.word, m.*
    FROM words AS w CROSS JOIN LATERAL (
        (SELECT r.id, r.conversation_id, r.position, r.episode, r.name, r.sent_at,
            CAST(length(r.content) AS float8) AS size
        FROM messages AS r {of_talks}
        WHERE NOT w.usual AND r.search_vector @@ w.query
        LIMIT :most + 1)
        UNION ALL
        -- OFFSET 0: from row to row.
        (SELECT r.id, r.conversation_id, r.position, r.episode, r.name, r.sent_at,
            CAST(length(r.content) AS float8) AS size
        FROM (SELECT r.* FROM messages AS r {of_talks} OFFSET 0) AS r
        WHERE w.usual AND r.search_vector @@ w.query
        LIMIT :most + 1)
    ) AS m
)""",
    best="""SELECT r.conversation_id, r.position
        FROM likely AS r {vectors}
        ORDER BY r.score + :similarity * coalesce({similarity}, 0) DESC, r.id
        LIMIT {candidates}""",
    of_cut=OF_CUT,
    first_name="lower(split_part(name, ' ', 1))",
    of_itself="r.search_vector @@ to_tsquery('persona_store', replace(:of_itself, ' ', ' | '))",
    days="(CAST(extract(epoch FROM s.sent_at - :at) AS float8) / 86400)",
    greatest="greatest",
    least="least",
)

NEAR = """near AS MATERIALIZED (
    SELECT r.id, r.conversation_id, r.position
    FROM messages AS r {{of_talks}}
        JOIN message_embeddings AS v ON v.message_id = r.id AND v.embedding_space_id = {space}
    WHERE {{wanted}} AND (SELECT messages FROM reach) > :narrow AND {widely}
    ORDER BY {distance}
    LIMIT {{candidates}}
)"""


def holds(words: Sequence[str]) -> sa.ColumnElement[bool]:
    condition = sa.text("messages.search_vector @@ plainto_tsquery('persona_store', :words)")
    return sa.type_coerce(condition.bindparams(words=" ".join(words)).self_group(), sa.Boolean)


async def messages(session: Session, query: MessageQuery) -> Ranked:
    """A scope without a conversation may be wide."""

    async def ask(approximate: bool, more: Mapping[str, object]) -> Ranked:
        pieces = with_vectors(PIECES, NEAR, "message_embeddings", "message_id", query.space, approximate)
        return await rank(session, query, pieces, {"words": list(query.words), **more})

    scope = None if "conversation_id" in query.talks else _scope(tuple(query.talks))
    values = talk_values(query.talks)
    return await through_index_or_exactly(session, query, "message_embeddings", scope, values, ask)


@cache
def _scope(talks: tuple[str, ...]) -> Scope:
    """Its conversations know how many messages they have."""
    if not talks:
        return EVERYWHERE
    types = {f"talk_{name}": TYPES.get(f"talk_{name}", sa.Text()) for name in talks}
    return Scope(f"SELECT sum(c.message_count) FROM conversations AS c WHERE {of_talks(talks)}", tuple(types.items()))
