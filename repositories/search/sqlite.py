"""Search on SQLite: a scope is compared whole, by the aggregate `nearest`; a wide one through signatures first."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from database import Database
from database.sqlite_signatures import KEYS
from models import EmbeddingSpace
from repositories.search import hybrid
from repositories.search.contract import Found, IndexState, Progress, TableIndex, VectorQuery
from repositories.search.sources import INDEXED
from repositories.search.sqlite_memories import memories
from repositories.search.sqlite_messages import holds, messages
from repositories.search.sqlite_near import LIKELY_IDS, has_signatures, likely_parameters

__all__ = ["build_indexes", "drop_indexes", "holds", "indexes", "memories", "messages", "nearest"]

NEAREST = """
WITH best AS (
    SELECT nearest({id}, {vectors}.embedding, :vector, :metric, :limit) AS found
    FROM {rows}
    WHERE {of_space} = :space{filters}
)
SELECT {columns}, json_extract(hit.value, '$[1]') AS score, 1 AS complete
FROM best, json_each(best.found) AS hit JOIN {row_table} AS r ON r.id = json_extract(hit.value, '$[0]')
ORDER BY hit.key
"""

NEAREST_OR_LIKELY = """
WITH reach AS MATERIALIZED (
    SELECT count(*) AS rows FROM (SELECT 1 FROM {counted} LIMIT :narrow + 1) AS the_first
),
{likely_ids},
compared AS (
    -- LIMIT 0 reads nothing; a condition would be tested for each row.
    SELECT id, embedding FROM (
        SELECT r.id AS id, {vectors}.embedding AS embedding
        FROM {rows}
        WHERE {of_space} = :space{filters}
        LIMIT (SELECT CASE WHEN rows <= :narrow THEN -1 ELSE 0 END FROM reach)
    )
    UNION ALL
    SELECT r.id, {vectors}.embedding
    FROM likely_ids CROSS JOIN {rows}
    WHERE r.id = likely_ids.id AND {vectors}.embedding_space_id = :space
),
best AS (
    SELECT nearest(id, embedding, :vector, :metric, :limit) AS found FROM compared
)
SELECT {columns}, json_extract(hit.value, '$[1]') AS score, (SELECT rows FROM reach) <= :narrow AS complete
FROM best, json_each(best.found) AS hit JOIN {row_table} AS r ON r.id = json_extract(hit.value, '$[0]')
ORDER BY hit.key
"""


async def nearest(connection: AsyncConnection, query: VectorQuery) -> Found:
    """A narrow scope is compared whole. What has no vector counts too where there is a filter."""
    source = query.source
    may_be_wide = query.mode != "exact" and has_signatures(query.space)
    pieces = {
        "id": "r.id",
        "rows": source.rows,
        "vectors": source.vectors,
        # The plus keeps SQLite from reading all of a space for the few rows that pass a filter.
        "of_space": f"{'+' if query.filters else ''}{source.vectors}.embedding_space_id",
        "table": source.table,
        "filters": query.conditions,
        "columns": source.read,
        "row_table": source.row_table.name,
    }
    values = {
        **query.filters,
        "space": query.space.id,
        "vector": query.vector,
        "metric": query.space.metric.value,
        "limit": query.limit,
    }
    if may_be_wide:
        likely = likely_parameters(query.limit, bool(query.filters))
        values |= likely | {"narrow": hybrid.NARROW if query.mode == "auto" else likely["likely"]}
        conditions = f"1 = 1{query.conditions}"
        is_wide = "(SELECT rows FROM reach) > :narrow"
        pieces["likely_ids"] = LIKELY_IDS.format(**pieces, conditions=conditions, is_wide=is_wide)
        if query.filters:
            pieces["counted"] = f"{source.row_table.name} AS r WHERE {conditions}"
        else:
            pieces["counted"] = f"{source.table} WHERE embedding_space_id = :space"
    elif not query.filters:
        # Every vector has its row: nothing is looked up but for the hits.
        pieces["rows"] = f"{source.table} AS {source.vectors}"
        pieces["id"] = f"{source.vectors}.{KEYS[source.table]}"
    sql = (NEAREST_OR_LIKELY if may_be_wide else NEAREST).format(**pieces)
    rows = (await connection.execute(query.statement(sql, "vector", "space"), values)).mappings().all()
    return rows, all(row["complete"] for row in rows)


async def indexes(connection: AsyncConnection, space: EmbeddingSpace) -> Sequence[TableIndex]:
    return [TableIndex(table, "", IndexState.NOT_NEEDED) for table in INDEXED]


async def build_indexes(
    database: Database, space: EmbeddingSpace, progress: Progress | None = None
) -> Sequence[TableIndex]:
    """Nothing to build: signatures are made in memory, as a search needs them."""
    return [TableIndex(table, "", IndexState.NOT_NEEDED) for table in INDEXED]


async def drop_indexes(connection: AsyncConnection, space_ids: Sequence[UUID]) -> None:
    """None were built."""
