"""Fuzzy search on PostgreSQL: GIN over trigrams finds the pieces, pg_trgm compares the words."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from database import Database
from database.errors import ConfigurationError, StoreError
from repositories.search.contract import IndexState, TableIndex
from repositories.search.fuzzy import FUZZY, LONGEST, FuzzyQuery, FuzzyText, fuzzy_statement
from repositories.search.postgres_index import STATES, be_alone

SEEN = "fuzzy_text({column})"

FUNCTION = f"""
CREATE OR REPLACE FUNCTION fuzzy_text(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$ BEGIN RETURN lower(' ' || left(value, {LONGEST}) || ' '); END $$
"""
"""What is indexed, with an edge at both ends. The planner takes `lower` for cheap, and would read the table instead."""

CREATE = "CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} USING gin ({seen} gin_trgm_ops)"

HAS_FUNCTION = "SELECT to_regprocedure('fuzzy_text(text)')"

AVAILABLE = "SELECT installed_version IS NOT NULL FROM pg_available_extensions WHERE name = 'pg_trgm'"

KNOWS_LETTERS = "SELECT similarity('\u00fc', '\u00fc') = 1"
"""pg_trgm passes over what the database's LC_CTYPE takes for no letter."""

CANDIDATES = f"""
WITH candidates AS MATERIALIZED (
    SELECT id, text
    FROM (
        SELECT r.id, {SEEN.format(column="r.{column}")} AS text
        FROM {{table}} AS r
        WHERE {SEEN.format(column="r.{column}")} LIKE ANY (CAST(:patterns AS text[])) AND {{scope}}
        OFFSET 0  -- so that the text is made lower once
    ) AS found
    ORDER BY (SELECT count(*) FROM unnest(CAST(:pieces AS text[])) AS piece WHERE strpos(text, piece) > 0) DESC, id
    LIMIT :candidates
)"""

SIMILARITY = """(
        SELECT avg(CAST(strict_word_similarity(word, text) AS float8)) FROM unnest(CAST(:words AS text[])) AS word
    )"""


async def is_ready(connection: AsyncConnection, text: FuzzyText) -> bool:
    return (await _states(connection, [text]))[0].state is IndexState.READY


def statement(query: FuzzyQuery) -> tuple[sa.TextualSelect, dict[str, object]]:
    sql = fuzzy_statement(query.model, tuple(query.scope), CANDIDATES, SIMILARITY)
    pieces = query.pieces
    lists = {"pieces": pieces, "patterns": [f"%{piece}%" for piece in pieces], "words": list(query.words)}
    return sql, query.values | lists


async def build(database: Database) -> Sequence[TableIndex]:
    """One after the other, beside the traffic; a killed build is begun again."""
    async with database.autocommit() as connection:
        try:
            await connection.exec_driver_sql("SET statement_timeout = 0")
            await be_alone(connection)
            await _have_extension(connection)
            if (await connection.exec_driver_sql(HAS_FUNCTION)).scalar() is None:
                await connection.exec_driver_sql(FUNCTION)
            for text, index in zip(FUZZY.values(), await _states(connection, list(FUZZY.values())), strict=True):
                if index.state is IndexState.UNFINISHED:
                    await connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}")
                if index.state is not IndexState.READY:
                    seen = SEEN.format(column=text.column)
                    await connection.exec_driver_sql(CREATE.format(index=text.index, table=text.table, seen=seen))
                    await connection.exec_driver_sql(f"ANALYZE {text.table}")
            return await _states(connection, list(FUZZY.values()))
        finally:
            # As after the build of a space's index: the lock and the timeout are the connection's.
            await connection.invalidate()


async def drop(database: Database) -> None:
    """The extension stays: others may use it."""
    async with database.autocommit() as connection:
        for text in FUZZY.values():
            await connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {text.index}")
        await connection.exec_driver_sql("DROP FUNCTION IF EXISTS fuzzy_text(text)")


async def _have_extension(connection: AsyncConnection) -> None:
    installed = (await connection.exec_driver_sql(AVAILABLE)).scalar()
    if installed is None:
        raise ConfigurationError("this server has no pg_trgm, which fuzzy search needs; it is of PostgreSQL's contrib")
    if not installed:
        try:
            await connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        except StoreError as error:
            raise ConfigurationError(
                "this role may not make the extension pg_trgm, which fuzzy search needs: "
                "let one that may run CREATE EXTENSION pg_trgm in this database"
            ) from error
    if not (await connection.exec_driver_sql(KNOWS_LETTERS)).scalar():
        raise ConfigurationError(
            "the LC_CTYPE of this database has no letters but those of ASCII, and pg_trgm passes over all others: "
            "fuzzy search needs a database with a UTF-8 locale"
        )


async def _states(connection: AsyncConnection, texts: Sequence[FuzzyText]) -> Sequence[TableIndex]:
    rows = await connection.execute(STATES, {"names": [text.index for text in texts]})
    valid = {row.name: row.valid for row in rows}
    states = {None: IndexState.MISSING, False: IndexState.UNFINISHED, True: IndexState.READY}
    return [TableIndex(text.table, text.index, states[valid[text.index]]) for text in texts]
