"""The approximate index of a space: HNSW over half precision, built beside the traffic and again after a kill."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from database import Database, Session
from models import EmbeddingSpace, Metric
from repositories.search.contract import IndexState, Progress, TableIndex
from repositories.search.literals import MOST_INDEXED_DIMENSIONS, index_name, space_literals
from repositories.search.sources import INDEXED

OPERATORS = {Metric.COSINE: "<=>", Metric.L2: "<->", Metric.INNER_PRODUCT: "<#>"}
"""pgvector's distances: less is nearer; the last one is minus the inner product."""

OPERATOR_CLASSES = {
    Metric.COSINE: "halfvec_cosine_ops",
    Metric.L2: "halfvec_l2_ops",
    Metric.INNER_PRODUCT: "halfvec_ip_ops",
}

CREATE = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table}
USING hnsw ((CAST(embedding AS {halfvec})) {operator_class})
WITH (m = 24, ef_construction = 200) WHERE embedding_space_id = {space}
"""
"""Texts on one subject crowd. With pgvector's 16 and 64 the links of a row lead to its own crowd only, and a question
that is far from all of them ends in the wrong one: docs/search.md has the measure."""

STATES = sa.text("""
SELECT name, (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(name)) AS valid
FROM unnest(CAST(:names AS text[])) AS name
""")

PROGRESS = """
SELECT CAST(blocks_done AS float) / nullif(blocks_total, 0) FROM pg_stat_progress_create_index
WHERE relid = to_regclass(:name) AND datname = current_database()
"""

READY = """
SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', :ef_search, true),
    set_config('hnsw.max_scan_tuples', :most_scanned, true)
FROM pg_index
WHERE indexrelid = to_regclass(:name) AND indisvalid
"""
"""A row, with the settings of the scan's plan made until the unit ends, if the index is there; else nothing."""

IS_WIDE = """AND ({rows}) > {middling}
"""

MIDDLING = 30_000
"""Rows of a scope whose vectors are all compared, a tenth of a second of the server, in a search by words and vector:
read through a filter the index misses what is far from the crowd that it entered, and no word makes up for it."""


EF_SEARCH = "1000"
"""The most there is: some milliseconds more than the least that finds what is near, for what is far."""

SEARCHES_WIDELY = f"(SELECT set_config('hnsw.ef_search', '{EF_SEARCH}', true)) IS NOT NULL"
"""A condition of every scan through the index, met once and before it."""

PLANNED_EF_SEARCH = "1"
"""With the most, the planner takes the index for dearer than all vectors of ten thousand rows, which take four times as
long: so it is asked with the least."""

SCANNED_A_CANDIDATE = 4
"""Rows that a scan may meet behind a filter, for each that it should find, if these are more than those of its first
turn: the later ones miss more. What finds fewer is asked again exactly."""

ONE_BUILDER = 8_273_106_455
"""An advisory lock: an index that another process still builds looks like one that was left unfinished."""

WAIT = 0.5
"""Seconds between two looks at a build, or at the lock of another."""


async def indexes(connection: AsyncConnection, space: EmbeddingSpace) -> Sequence[TableIndex]:
    names = {index_name(table, space.id): table for table in INDEXED}
    if space.dimensions > MOST_INDEXED_DIMENSIONS:
        return [TableIndex(table, name, IndexState.TOO_WIDE) for name, table in names.items()]
    valid = {row.name: row.valid for row in await connection.execute(STATES, {"names": list(names)})}
    states = {None: IndexState.MISSING, False: IndexState.UNFINISHED, True: IndexState.READY}
    return [TableIndex(table, name, states[valid[name]]) for name, table in names.items()]


def index_parameters(table: str, space_id: UUID, candidates: int) -> dict[str, object]:
    """Those of READY."""
    return {
        "name": index_name(table, space_id),
        "ef_search": PLANNED_EF_SEARCH,
        "most_scanned": str(max(int(EF_SEARCH), SCANNED_A_CANDIDATE * candidates)),
    }


@dataclass(frozen=True, slots=True)
class Scope:
    """What a search is narrowed to: SQL that counts its rows, empty for everything, with its parameters' types."""

    rows: str = ""
    types: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = ()


EVERYWHERE = Scope()


async def is_ready(
    session: Session,
    table: str,
    space_id: UUID,
    candidates: int,
    scope: Scope = EVERYWHERE,
    values: Mapping[str, object] = MappingProxyType({}),
) -> bool:
    """Whether the space has its index of the table, and the scope is wide enough for it; the unit's transaction is set
    to use it well then."""
    given = {**index_parameters(table, space_id, candidates), **values}
    return bool(await session.fetch(_if_ready(scope), given))


@lru_cache(maxsize=100)
def _if_ready(scope: Scope) -> sa.TextualSelect:
    wide = IS_WIDE.format(rows=scope.rows, middling=MIDDLING) if scope.rows else ""
    text = sa.text(READY + wide).bindparams(*(sa.bindparam(name, type_=kind) for name, kind in scope.types))
    return text.columns(sa.column("scan"), sa.column("ef_search"), sa.column("most_scanned"))


async def build_indexes(
    database: Database, space: EmbeddingSpace, progress: Progress | None = None
) -> Sequence[TableIndex]:
    """Build what is not ready of the space's indexes, one table after the other; a killed build is begun again.

    Reads and writes go on meanwhile. Waits while another process builds. No timeout but the caller's.
    """
    async with database.autocommit() as connection:
        try:
            # Kept by the connection and not by a transaction: there is none.
            await connection.exec_driver_sql("SET statement_timeout = 0")
            await be_alone(connection)
            for index in await indexes(connection, space):
                if index.state is IndexState.UNFINISHED:
                    await connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}")
                if index.state in (IndexState.UNFINISHED, IndexState.MISSING):
                    await _build(database, connection, space, index, progress)
                    # Without statistics the planner takes the space for a few rows, and the index for not worth it.
                    await connection.exec_driver_sql(f"ANALYZE {index.table}")
            return await indexes(connection, space)
        finally:
            # The pool must not hand out a connection that holds the lock or has no timeout: this one ends here.
            await connection.invalidate()


async def be_alone(connection: AsyncConnection) -> None:
    # A build without locks for others waits itself for each unit that has the table.
    await connection.exec_driver_sql("SET lock_timeout = 0")
    # Not by waiting in the database: CREATE INDEX CONCURRENTLY waits for everybody whose statement is running.
    while True:
        if (await connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({ONE_BUILDER})")).scalar_one():
            return
        await asyncio.sleep(WAIT)


async def _build(
    database: Database, connection: AsyncConnection, space: EmbeddingSpace, index: TableIndex, progress: Progress | None
) -> None:
    literal, halfvec = space_literals(space)
    sql = CREATE.format(
        name=index.name,
        table=index.table,
        halfvec=halfvec,
        operator_class=OPERATOR_CLASSES[space.metric],
        space=literal,
    )
    if progress is None:
        await connection.exec_driver_sql(sql)
        return
    watch = asyncio.create_task(_watch(database, index.table, progress))
    try:
        await connection.exec_driver_sql(sql)
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
    progress(index.table, 1.0)


async def _watch(database: Database, table: str, progress: Progress) -> None:
    while True:
        done = await database.fetch_value(PROGRESS, {"name": table})
        progress(table, done if isinstance(done, float) else 0.0)
        await asyncio.sleep(WAIT)


async def drop_indexes(connection: AsyncConnection, space_ids: Sequence[UUID]) -> None:
    """In the unit of the caller: searches of the tables wait until it ends, if there was an index."""
    names = ", ".join(index_name(table, id) for table in INDEXED for id in space_ids)
    await connection.exec_driver_sql(f"DROP INDEX IF EXISTS {names}")
