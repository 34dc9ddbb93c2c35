"""How a database is: reachable, which server, which revision, how busy its pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool


@dataclass(frozen=True, slots=True)
class Pool:
    """Connections: the most that are kept, those in use, those idle, those beyond the kept ones (negative: room)."""

    size: int
    checked_out: int
    checked_in: int
    overflow: int


@dataclass(frozen=True, slots=True)
class Health:
    status: Literal["ok", "error"]
    message: str
    database: str | None
    version: str | None = None
    host: str | None = None
    port: int | None = None
    revision: str | None = None
    pool: Pool | None = None


@dataclass(frozen=True, slots=True)
class VectorSupport:
    """What compares vectors in a database, its version (None: not installed) and the least that will do."""

    name: str
    version: str | None
    least: str


@dataclass(frozen=True, slots=True)
class Damage:
    """What a database found wrong `count` times in a table or index; `rebuildable`: from the tables."""

    place: str
    what: str
    count: int
    rebuildable: bool


IndexedColumns = Mapping[str, Sequence[Sequence[str | None]]]
"""Of each table the columns of its whole indexes, in their order; None stands for an expression."""


def pool_of(engine: AsyncEngine) -> Pool | None:
    pool = engine.sync_engine.pool
    if not isinstance(pool, QueuePool):
        return None
    return Pool(pool.size(), pool.checkedout(), pool.checkedin(), pool.overflow())


async def revision_of(connection: AsyncConnection) -> str | None:
    """The migrations that have been applied, several heads joined by a comma; None where none have."""
    exists = await connection.run_sync(lambda inner: sa.inspect(inner).has_table("alembic_version"))
    if not exists:
        return None
    rows = await connection.execute(sa.text("SELECT version_num FROM alembic_version ORDER BY version_num"))
    return ",".join(rows.scalars()) or None


def version_of(connection: AsyncConnection) -> str:
    dialect = connection.dialect
    return f"{dialect.name} " + ".".join(str(part) for part in getattr(dialect, "server_version_info", ()))
