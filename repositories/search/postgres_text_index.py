"""The text index on PostgreSQL: its column is computed by the database, so only the index can be missing."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from repositories.search.text_index_contract import Disagreement

WITHOUT = sa.text("""
SELECT t.relname FROM pg_class AS t JOIN pg_attribute AS a ON a.attrelid = t.oid
WHERE t.relkind = 'r' AND a.attname = 'search_vector' AND NOT a.attisdropped AND pg_table_is_visible(t.oid)
    AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = t.oid AND a.attnum = ANY (CAST(i.indkey AS int2[])))
ORDER BY t.relname
""")


async def disagreements(connection: AsyncConnection) -> Sequence[Disagreement]:
    tables = (await connection.execute(WITHOUT)).scalars().all()
    return [Disagreement(table, "has no index of its words", 1) for table in tables]


async def rebuild(connection: AsyncConnection, table: str) -> None:
    await connection.exec_driver_sql(
        f"CREATE INDEX ix_{table}_search_vector ON {table} USING gin (search_vector) "
        "WITH (gin_pending_list_limit = 512)"
    )
