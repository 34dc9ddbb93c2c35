"""Messages on PostgreSQL: words through the GIN index, vectors exactly or through the index of their space."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from models import EmbeddingSpace, Metric
from repositories.search.contract import Ranked
from repositories.search.literals import space_literals
from repositories.search.messages import MessageQuery, Pieces, rank
from repositories.search.postgres import OPERATORS, is_ready

WORDS = Pieces(
    words="""words AS MATERIALIZED (
    SELECT n, word, phraseto_tsquery('persona_store', word) AS query
    FROM unnest(CAST(:words AS text[])) WITH ORDINALITY AS w (word, n)
)""",
    found="""found AS MATERIALIZED (
    SELECT w.n, w.word, r.id, r.conversation_id, r.position, r.episode, r.name, length(r.content) AS size
    FROM words AS w JOIN messages AS r ON r.search_vector @@ w.query JOIN conversations AS c ON c.id = r.conversation_id
    WHERE {talks}
)""",
    first_name="lower(split_part(name, ' ', 1))",
    of_itself="r.search_vector @@ to_tsquery('persona_store', replace(:of_itself, ' ', ' | '))",
    days="(CAST(extract(epoch FROM s.sent_at - :at) AS float8) / 86400)",
    greatest="greatest",
)

SIMILARITIES = {
    Metric.COSINE: "1 - (v.embedding <=> CAST(:vector AS vector))",
    Metric.INNER_PRODUCT: "0 - (v.embedding <#> CAST(:vector AS vector))",
    Metric.L2: "1 / (1 + (v.embedding <-> CAST(:vector AS vector)))",
}

NEAR = """near AS MATERIALIZED (
    SELECT r.id, r.conversation_id, r.position
    FROM messages AS r JOIN conversations AS c ON c.id = r.conversation_id
        JOIN message_embeddings AS v ON v.message_id = r.id AND v.embedding_space_id = {space}
    WHERE {{talks}} AND {{wanted}} AND (SELECT messages FROM reach) > :narrow
    ORDER BY {distance}
    LIMIT :candidates
)"""


def pieces(space: EmbeddingSpace | None, approximate: bool) -> Pieces:
    if space is None:
        return WORDS
    literal, halfvec = space_literals(space)
    operator = OPERATORS[space.metric]
    if approximate:
        distance = f"CAST(v.embedding AS {halfvec}) {operator} CAST(CAST(:vector AS vector) AS {halfvec})"
    else:
        distance = f"v.embedding {operator} CAST(:vector AS vector), r.id"
    return replace(
        WORDS,
        near=NEAR.format(space=literal, distance=distance),
        vectors=f"LEFT JOIN message_embeddings AS v ON v.message_id = r.id AND v.embedding_space_id = {literal}",
        similarity=SIMILARITIES[space.metric],
    )


def holds(words: Sequence[str]) -> sa.TextClause:
    """Whether a message holds every one of the words."""
    condition = sa.text("messages.search_vector @@ plainto_tsquery('persona_store', :words)")
    return condition.bindparams(words=" ".join(words))


async def messages(connection: AsyncConnection, query: MessageQuery) -> Ranked:
    """Through the space's index where it is ready, for a scope that may be wide; what comes short is asked exactly."""
    through_index = (
        query.space is not None
        and query.mode != "exact"
        and (query.mode == "approximate" or "conversation_id" not in query.talks)
        and await is_ready(connection, "message_embeddings", query.space.id, query.candidates)
    )
    more = {"words": list(query.words)}
    rows, complete = await rank(connection, query, pieces(query.space, through_index), more)
    if through_index and not complete and len(rows) < query.limit:
        rows, complete = await rank(connection, query, pieces(query.space, False), more | {"narrow": 2**62})
    return rows, complete
