"""What a look at a database tells and no error does: how it compares vectors, which foreign keys no index serves."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from database.engine import backend_of
from database.health import Damage, VectorSupport


@dataclass(frozen=True, slots=True)
class ForeignKey:
    table: str
    columns: tuple[str, ...]
    parent: str


async def vector_support(connection: AsyncConnection) -> VectorSupport:
    return await connection.run_sync(backend_of(connection.dialect.name).vector_support)


async def foreign_keys_without_index(connection: AsyncConnection) -> Sequence[ForeignKey]:
    """Those whose columns no whole index begins with: deleting a parent's row reads all of such a table."""
    return await connection.run_sync(_without_index)


async def damage(connection: AsyncConnection) -> Sequence[Damage]:
    """What the database finds wrong with its own pages and indexes; reads all of a file."""
    return await connection.run_sync(backend_of(connection.dialect.name).damage)


async def rebuild_damaged(connection: AsyncConnection) -> None:
    """Make the damaged indexes again from their tables, in the transaction of the caller."""
    await connection.run_sync(backend_of(connection.dialect.name).rebuild_damaged)


def _without_index(connection: Connection) -> Sequence[ForeignKey]:
    indexes = backend_of(connection.dialect.name).indexed_columns(connection)
    found = []
    for (_, table), keys in sorted(sa.inspect(connection).get_multi_foreign_keys().items()):
        for key in keys:
            columns = key["constrained_columns"]
            if not any(set(index[: len(columns)]) == set(columns) for index in indexes.get(table, ())):
                found.append(ForeignKey(table, tuple(columns), key["referred_table"]))
    return found
