"""Search on SQLite: the nearest come from the function `nearest_in`, with what the search brings of their rows."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from database import Database, Session
from models import EmbeddingSpace
from repositories.search import hybrid
from repositories.search.contract import Found, IndexState, Mode, Progress, TableIndex, VectorQuery, rows_of
from repositories.search.sources import INDEXED
from repositories.search.sqlite_memories import memories
from repositories.search.sqlite_messages import holds, messages
from repositories.search.sqlite_near import LIKELY, nearest_in

__all__ = ["build_indexes", "drop_indexes", "holds", "indexes", "memories", "messages", "nearest"]

NEAREST = """
WITH best AS MATERIALIZED (
    SELECT {nearest} AS found
)
SELECT {columns}, json_extract(hit.value, '$[1]') AS score, json_extract(best.found, '$.complete') AS complete
FROM best CROSS JOIN json_each(best.found, '$.hits') AS hit CROSS JOIN {row_table} AS r
WHERE r.id = json_extract(hit.value, '$[0]')
ORDER BY hit.key
"""


async def nearest(session: Session, query: VectorQuery) -> Found:
    """A narrow scope is compared whole. What has no vector counts too where there is a filter."""
    source = query.source
    conditions = " AND ".join(source.filters[name][0] for name in query.filters)
    call, scope = nearest_in(source.table, ":limit", ":narrow", conditions)
    values = {
        **query.filters,
        "space": query.space.id,
        "vector": query.vector,
        "metric": query.space.metric.value,
        "limit": query.limit,
        "narrow": narrow(query.mode),
        "scope": scope,
    }
    sql = NEAREST.format(nearest=call, columns=source.read, row_table=source.row_table.name)
    rows = await rows_of(session, query.statement(sql, "vector", "space", besides=("complete",)), values)
    return rows, all(row["complete"] for row in rows)


def narrow(mode: Mode) -> int:
    """Up to how many rows a scope is compared whole."""
    return {"auto": hybrid.NARROW, "exact": hybrid.EVERYTHING, "approximate": LIKELY}[mode]


async def indexes(connection: AsyncConnection, space: EmbeddingSpace) -> Sequence[TableIndex]:
    return [TableIndex(table, "", IndexState.NOT_NEEDED) for table in INDEXED]


async def build_indexes(
    database: Database, space: EmbeddingSpace, progress: Progress | None = None
) -> Sequence[TableIndex]:
    """Nothing to build: what a search needs of the vectors is held in memory."""
    return [TableIndex(table, "", IndexState.NOT_NEEDED) for table in INDEXED]


async def drop_indexes(connection: AsyncConnection, space_ids: Sequence[UUID]) -> None:
    """None were built."""
