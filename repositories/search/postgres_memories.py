"""Memories on PostgreSQL: words through the GIN index, vectors exactly or through the index of their space."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from models import EmbeddingSpace
from repositories.search.contract import Ranked
from repositories.search.literals import space_literals
from repositories.search.memories import MemoryQuery, Pieces, rank
from repositories.search.postgres import OPERATORS, is_ready
from repositories.search.postgres_messages import SIMILARITIES
from repositories.search.postgres_messages import WORDS as MESSAGE_WORDS

WORDS = Pieces(
    words=MESSAGE_WORDS.words,
    found="""found AS MATERIALIZED (
    SELECT w.n, r.id, length(r.content) AS size
    FROM words AS w JOIN conversation_memory AS r ON r.search_vector @@ w.query
    WHERE {conditions}
)""",
    days="CAST(extract(epoch FROM :now - coalesce(r.occurred_at, r.created_at)) AS float8) / 86400",
    greatest="greatest",
)

NEAR = """near AS MATERIALIZED (
    SELECT r.id
    FROM conversation_memory AS r JOIN memory_embeddings AS v ON v.memory_id = r.id AND v.embedding_space_id = {space}
    WHERE {{conditions}} AND (SELECT memories FROM reach) > :narrow
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
        vectors=f"LEFT JOIN memory_embeddings AS v ON v.memory_id = r.id AND v.embedding_space_id = {literal}",
        similarity=SIMILARITIES[space.metric],
    )


async def memories(connection: AsyncConnection, query: MemoryQuery) -> Ranked:
    """Through the space's index where it is ready, as a search by vector alone; what comes short is asked exactly."""
    through_index = (
        query.space is not None
        and query.mode != "exact"
        and (query.mode == "approximate" or not query.filters)
        and await is_ready(connection, "memory_embeddings", query.space.id, query.candidates)
    )
    more: dict[str, object] = {"words": query.words}
    rows, complete = await rank(connection, query, pieces(query.space, through_index), more)
    if through_index and not complete and len(rows) < query.limit:
        rows, complete = await rank(connection, query, pieces(query.space, False), more | {"narrow": 2**62})
    return rows, complete
