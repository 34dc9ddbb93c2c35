"""Search on SQLite: exact, by the aggregate `nearest` over the vectors of the scope."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from database import Database
from models import EmbeddingSpace
from repositories.search.contract import Found, IndexState, Progress, TableIndex, VectorQuery
from repositories.search.sources import INDEXED
from repositories.search.sqlite_memories import memories
from repositories.search.sqlite_messages import holds, messages

__all__ = ["build_indexes", "drop_indexes", "holds", "indexes", "memories", "messages", "nearest"]

NEAREST = """
WITH best AS (
    SELECT nearest(r.id, {vectors}.embedding, :vector, :metric, :limit) AS found
    FROM {rows}
    WHERE {vectors}.embedding_space_id = :space{conditions}
)
SELECT {columns}, json_extract(hit.value, '$[1]') AS score
FROM best, json_each(best.found) AS hit JOIN {row_table} AS r ON r.id = json_extract(hit.value, '$[0]')
ORDER BY hit.key
"""


async def nearest(connection: AsyncConnection, query: VectorQuery) -> Found:
    source = query.source
    sql = NEAREST.format(
        columns=source.read,
        rows=source.rows,
        vectors=source.vectors,
        row_table=source.row_table.name,
        conditions=query.conditions,
    )
    values = {
        **query.filters,
        "space": query.space.id,
        "vector": query.vector,
        "metric": query.space.metric.value,
        "limit": query.limit,
    }
    statement = query.statement(sql, "vector", "space")
    return (await connection.execute(statement, values)).mappings(), True


async def indexes(connection: AsyncConnection, space: EmbeddingSpace) -> Sequence[TableIndex]:
    return [TableIndex(table, "", IndexState.NOT_NEEDED) for table in INDEXED]


async def build_indexes(
    database: Database, space: EmbeddingSpace, progress: Progress | None = None
) -> Sequence[TableIndex]:
    """Nothing to build: search is exact here."""
    return [TableIndex(table, "", IndexState.NOT_NEEDED) for table in INDEXED]


async def drop_indexes(connection: AsyncConnection, space_ids: Sequence[UUID]) -> None:
    """None were built."""
