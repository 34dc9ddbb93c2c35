"""The text index on SQLite: an index without texts, which is compared with one made of the texts now."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from database.errors import CorruptionError
from database.sqlite_words import LONGEST
from repositories.search.text_index_contract import Disagreement

INDEXES = """
SELECT substr(name, 1, length(name) - 4) AS name, sql FROM sqlite_master
WHERE type = 'table' AND name LIKE '%\\_fts' ESCAPE '\\' AND sql LIKE 'CREATE VIRTUAL TABLE %' ORDER BY name
"""

NUMBERS = """
SELECT (SELECT count(*) FROM {table} WHERE id NOT IN (SELECT row_id FROM {table}_search)) AS missing,
    (SELECT count(*) FROM {table}_search WHERE row_id NOT IN (SELECT id FROM {table})) AS left_over,
    (SELECT count(*) FROM {table}_search AS s JOIN {table} AS t ON t.id = s.row_id WHERE s.size <> length(t.content))
        AS of_other_size
"""

FILL = """
INSERT INTO {index} (rowid, content)
SELECT s.number, substr(t.content, 1, {longest}) FROM {table}_search AS s JOIN {table} AS t ON t.id = s.row_id
"""

DIFFERENT = """
SELECT count(DISTINCT doc) FROM (
    SELECT * FROM (SELECT doc, term, offset FROM temp.words_found EXCEPT SELECT doc, term, offset FROM temp.words_right)
    UNION ALL
    SELECT * FROM (SELECT doc, term, offset FROM temp.words_right EXCEPT SELECT doc, term, offset FROM temp.words_found)
) WHERE doc IN (SELECT s.number FROM {table}_search AS s JOIN {table} AS t ON t.id = s.row_id)
"""
"""What has no number, or a number and no row, is told by the numbers."""

TEMPORARY = ("words_found", "words_right", "words_fts")


async def disagreements(connection: AsyncConnection) -> Sequence[Disagreement]:
    found = []
    for table, sql in await _indexes(connection):
        row = (await connection.exec_driver_sql(NUMBERS.format(table=table))).one()
        if row.missing:
            found.append(Disagreement(table, "is not in the index of its words", row.missing))
        if row.left_over:
            found.append(Disagreement(table, "is gone, and still in the index of its words", row.left_over))
        if row.of_other_size:
            found.append(Disagreement(table, "is longer or shorter than the index says", row.of_other_size))
        try:
            async with _writes_beside(connection), connection.begin_nested():
                different = await _different(connection, table, sql)
        except CorruptionError:
            found.append(Disagreement(table, "has a damaged index of its words", 1))
            continue
        if different:
            found.append(Disagreement(table, "has other words than the index says", different))
    return found


async def rebuild(connection: AsyncConnection, table: str) -> None:
    sql = dict(await _indexes(connection))[table]
    # A text of another size gets another number, as when it changes.
    await connection.exec_driver_sql(
        f"DELETE FROM {table}_search AS s WHERE NOT EXISTS "
        f"(SELECT 1 FROM {table} AS t WHERE t.id = s.row_id AND length(t.content) = s.size)"
    )
    await connection.exec_driver_sql(
        f"INSERT INTO {table}_search (row_id, size) SELECT id, length(content) FROM {table} "
        f"WHERE id NOT IN (SELECT row_id FROM {table}_search)"
    )
    await connection.exec_driver_sql(f"DROP TABLE {table}_fts")
    await connection.exec_driver_sql(sql)
    await connection.exec_driver_sql(FILL.format(index=f"{table}_fts", table=table, longest=LONGEST))


async def _indexes(connection: AsyncConnection) -> list[tuple[str, str]]:
    """The tables that have one, each with the statement that made it."""
    return [(row.name, row.sql) for row in await connection.exec_driver_sql(INDEXES)]


async def _different(connection: AsyncConnection, table: str, sql: str) -> int:
    """How many rows have a word in one of the two and not in the other, in the same place."""
    await connection.exec_driver_sql(sql.replace(f"{table}_fts", "temp.words_fts", 1))
    await connection.exec_driver_sql(FILL.format(index="temp.words_fts", table=table, longest=LONGEST))
    for name, schema, index in (("words_found", "main", f"{table}_fts"), ("words_right", "temp", "words_fts")):
        await connection.exec_driver_sql(
            f"CREATE VIRTUAL TABLE temp.{name} USING fts5vocab('{schema}', '{index}', 'instance')"
        )
    different: int = (await connection.exec_driver_sql(DIFFERENT.format(table=table))).scalar_one()
    for name in TEMPORARY:
        await connection.exec_driver_sql(f"DROP TABLE temp.{name}")
    return different


@asynccontextmanager
async def _writes_beside(connection: AsyncConnection) -> AsyncIterator[None]:
    """A unit that only reads may write to a table of its own, which is no part of the database and takes no lock."""
    before = (await connection.exec_driver_sql("PRAGMA query_only")).scalar_one()
    await connection.exec_driver_sql("PRAGMA query_only=OFF")
    try:
        yield
    finally:
        await connection.exec_driver_sql(f"PRAGMA query_only={before}")
