"""Fuzzy search on PostgreSQL: a GIN index counts the pieces."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from database import Database, Session
from database.errors import ConfigurationError
from repositories.search.contract import IndexState, TableIndex
from repositories.search.fuzzy import FUZZY, LONGEST, FuzzyQuery, FuzzyText, fuzzy_statement
from repositories.search.postgres_index import STATES, be_alone

PIECES = 'fuzzy_pieces({column}) COLLATE "C"'
"""Compared by their bytes, whatever order of letters the database has."""

FUNCTION = f"""
CREATE OR REPLACE FUNCTION fuzzy_pieces(value text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000
AS $$
DECLARE
    pieces text[] := '{{}}';
    a text := '';
    b text := '';
    c text;
BEGIN
    FOREACH c IN ARRAY string_to_array(lower(' ' || left(value, {LONGEST}) || ' '), NULL) LOOP
        pieces := pieces || (a || b || c);
        a := b;
        b := c;
    END LOOP;
    RETURN pieces[3:];  -- the first two letters have no two before them
END $$
"""
"""Each three letters in a row, with an edge at both ends. pg_trgm's own index finds them too, but does not count: each
text would be read, and made lower, again."""

CREATE = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} USING gin (({pieces})) WITH (gin_pending_list_limit = 64)
"""
"""Each piece that is counted reads all that waits to be put in its place: of the default, 4 MB, a search takes twice as
long behind 300 appends."""

HAS_FUNCTION = "SELECT to_regprocedure('fuzzy_pieces(text)')"

KNOWS_LETTERS = "SELECT lower('\u00dc') = '\u00fc'"
"""The pieces of a text are in lower case, as the database's LC_CTYPE has it."""

IS_READY = sa.text("SELECT true AS ready FROM pg_index WHERE indexrelid = to_regclass(:name) AND indisvalid").columns(
    sa.column("ready", sa.Boolean)
)

# Of an array that the planner cannot see it thinks the same each time: so it plans once, and not for each question.
BEST = f"""
WITH best AS MATERIALIZED (
    SELECT held.id
    FROM unnest((SELECT CAST(:pieces AS text[]))) AS piece CROSS JOIN LATERAL (
        SELECT r.id
        FROM {{table}} AS r
        WHERE {PIECES.format(column="r.{column}")} @> ARRAY[left(piece, 3), right(piece, 3)] AND {{scope}}
        OFFSET 0  -- so that each piece is looked up in the index
    ) AS held
    GROUP BY held.id
    ORDER BY count(*) DESC, held.id
    LIMIT :candidates
)"""


async def is_ready(session: Session, text: FuzzyText) -> bool:
    return bool(await session.read(IS_READY, {"name": text.index}))


def statement(query: FuzzyQuery) -> tuple[sa.TextualSelect, dict[str, object]]:
    sql = fuzzy_statement(query.model, tuple(query.scope), query.columns, BEST)
    return sql, query.values | {"pieces": query.pieces}


async def build(database: Database) -> Sequence[TableIndex]:
    """One after the other, beside the traffic; a killed build is begun again."""
    async with database.autocommit() as connection:
        try:
            await connection.exec_driver_sql("SET statement_timeout = 0")
            await be_alone(connection)
            await _know_letters(connection)
            if (await connection.exec_driver_sql(HAS_FUNCTION)).scalar() is None:
                await connection.exec_driver_sql(FUNCTION)
            for text, index in zip(FUZZY.values(), await _states(connection, list(FUZZY.values())), strict=True):
                if index.state is IndexState.UNFINISHED:
                    await connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}")
                if index.state is not IndexState.READY:
                    pieces = PIECES.format(column=text.column)
                    await connection.exec_driver_sql(CREATE.format(index=text.index, table=text.table, pieces=pieces))
                    await connection.exec_driver_sql(f"ANALYZE {text.table}")
            return await _states(connection, list(FUZZY.values()))
        finally:
            # As after the build of a space's index: the lock and the timeout are the connection's.
            await connection.invalidate()


async def drop(database: Database) -> None:
    async with database.autocommit() as connection:
        for text in FUZZY.values():
            await connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {text.index}")
        await connection.exec_driver_sql("DROP FUNCTION IF EXISTS fuzzy_pieces(text)")


async def _know_letters(connection: AsyncConnection) -> None:
    if not (await connection.exec_driver_sql(KNOWS_LETTERS)).scalar():
        raise ConfigurationError(
            "the LC_CTYPE of this database has no letters but those of ASCII: "
            "fuzzy search needs a database with a UTF-8 locale"
        )


async def _states(connection: AsyncConnection, texts: Sequence[FuzzyText]) -> Sequence[TableIndex]:
    rows = await connection.execute(STATES, {"names": [text.index for text in texts]})
    valid = {row.name: row.valid for row in rows}
    states = {None: IndexState.MISSING, False: IndexState.UNFINISHED, True: IndexState.READY}
    return [TableIndex(text.table, text.index, states[valid[text.index]]) for text in texts]
