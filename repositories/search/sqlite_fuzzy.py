"""Fuzzy search on SQLite: an FTS5 index of trigrams, kept by triggers, counts the pieces."""

import json
from collections.abc import Sequence

import sqlalchemy as sa

from database import Database, Session
from database.sqlite import unhurried
from repositories.search.contract import IndexState, TableIndex
from repositories.search.fuzzy import FUZZY, LONGEST, FuzzyQuery, FuzzyText, fuzzy_statement

EVENTS = ("insert", "update", "delete")

PARTS = sa.text("SELECT count(*) FROM sqlite_master WHERE name IN (SELECT value FROM json_each(:names))").columns(
    sa.column("found", sa.BigInteger)
)

# CROSS JOIN: in this order. No text is read but those of the best.
HELD = """json_each(:pieces) AS piece CROSS JOIN {table}_fuzzy_fts AS f%s
    WHERE f.{table}_fuzzy_fts MATCH CASE length(piece.value)
        WHEN 3 THEN '"' || piece.value || '"'
        ELSE '"' || substr(piece.value, 1, 3) || '" AND "' || substr(piece.value, -3) || '"'
    END"""
"""A row for each piece that a text holds."""

OF_A_SCOPE = f"""
WITH best AS MATERIALIZED (
    SELECT r.id AS id
    FROM {HELD % " CROSS JOIN {table}_fuzzy_search AS s CROSS JOIN {table} AS r"}
    AND s.number = f.rowid AND r.id = s.row_id AND {{scope}}
    GROUP BY f.rowid
    ORDER BY count(*) DESC, r.id
    LIMIT :candidates
)"""

# To sort all that hold a piece takes as long as all the rest.
OF_ALL = f"""
WITH counted AS MATERIALIZED (
    SELECT most_frequent(group_concat(f.rowid), :candidates) AS pieces
    FROM {HELD % ""}
),
best AS MATERIALIZED (
    SELECT s.row_id AS id
    FROM counted CROSS JOIN json_each(counted.pieces) AS held CROSS JOIN {{table}}_fuzzy_search AS s
    WHERE s.number = CAST(held.key AS INTEGER)
    ORDER BY held.value DESC, id
    LIMIT :candidates
)"""


async def is_ready(session: Session, text: FuzzyText) -> bool:
    """A table that was made anew has lost its triggers: then the index is not what the table holds."""
    names = [f"{text.table}_fuzzy_{part}" for part in (*EVENTS, "fts", "search")]
    [[found]] = await session.read(PARTS, {"names": json.dumps(names)})
    return bool(found == len(names))


def statement(query: FuzzyQuery) -> tuple[sa.TextualSelect, dict[str, object]]:
    best = OF_A_SCOPE if query.scope else OF_ALL
    sql = fuzzy_statement(query.model, tuple(query.scope), query.columns, best)
    return sql, query.values | {"pieces": json.dumps(query.pieces)}


async def build(database: Database) -> Sequence[TableIndex]:
    """In one transaction, which holds the write lock while it reads every text."""
    async with database.transaction() as session:
        connection = await session.core()
        await connection.run_sync(unhurried)
        for text in FUZZY.values():
            if not await is_ready(session, text):
                for sql in [*_dropping(text), *_making(text)]:
                    await connection.exec_driver_sql(sql)
    return [TableIndex(text.table, f"{text.table}_fuzzy_fts", IndexState.READY) for text in FUZZY.values()]


async def drop(database: Database) -> None:
    async with database.transaction() as session:
        connection = await session.core()
        for text in FUZZY.values():
            for sql in _dropping(text):
                await connection.exec_driver_sql(sql)


def _dropping(text: FuzzyText) -> list[str]:
    return [
        *(f"DROP TRIGGER IF EXISTS {text.table}_fuzzy_{event}" for event in EVENTS),
        f"DROP TABLE IF EXISTS {text.table}_fuzzy_fts",
        f"DROP TABLE IF EXISTS {text.table}_fuzzy_search",
    ]


def _making(text: FuzzyText) -> list[str]:
    """Each row has a number of its own, as in the text index: a VACUUM may change the rowid of a table."""
    table, column = text.table, text.column
    fts, numbers = f"{table}_fuzzy_fts", f"{table}_fuzzy_search"
    number = f"(SELECT number FROM {numbers} WHERE row_id = %s.id)"
    seen = f"' ' || substr(%s.{column}, 1, {LONGEST}) || ' '"
    put = f"INSERT INTO {fts} (rowid, content) VALUES ({number}, {seen});" % ("new", "new")
    take = f"INSERT INTO {fts} ({fts}, rowid, content) VALUES ('delete', {number}, {seen});" % ("old", "old")
    return [
        f"CREATE TABLE {numbers} (number INTEGER PRIMARY KEY, row_id CHAR(32) NOT NULL UNIQUE)",
        f"CREATE VIRTUAL TABLE {fts} USING fts5(content, content='', tokenize='trigram', detail=none)",
        f"INSERT INTO {numbers} (row_id) SELECT id FROM {table}",
        f"INSERT INTO {fts} (rowid, content) SELECT n.number, {seen % 't'} "
        f"FROM {numbers} AS n JOIN {table} AS t ON t.id = n.row_id",
        f"CREATE TRIGGER {table}_fuzzy_insert AFTER INSERT ON {table} BEGIN "
        f"INSERT INTO {numbers} (row_id) VALUES (new.id); {put} END",
        f"CREATE TRIGGER {table}_fuzzy_update AFTER UPDATE OF {column} ON {table} BEGIN {take} {put} END",
        f"CREATE TRIGGER {table}_fuzzy_delete AFTER DELETE ON {table} BEGIN "
        f"{take} DELETE FROM {numbers} WHERE row_id = old.id; END",
    ]
