"""What the tests of the tables share: the factory of each table, and writing past the models' validation."""

from typing import Any

import sqlalchemy as sa

from database import Session
from models import Base, metadata
from tests import factories
from tests.factories import AsyncFactory

FACTORIES: dict[str, type[AsyncFactory[Any]]] = {
    factory._meta.model.__tablename__: factory
    for factory in vars(factories).values()
    if isinstance(factory, type) and issubclass(factory, AsyncFactory) and factory is not AsyncFactory
}


def table_of(entity: Base) -> sa.Table:
    return metadata.tables[str(entity.__tablename__)]


def values_of(entity: Base) -> dict[str, Any]:
    return {column.name: getattr(entity, column.name) for column in table_of(entity).columns}


async def insert(session: Session, entity: Base, **changes: object) -> None:
    """The entity as a row, by a plain INSERT: only the database judges it."""
    connection = await session.core()
    await connection.execute(sa.insert(table_of(entity)).values(values_of(entity) | changes))


async def count(session: Session, table: str) -> int:
    found = (
        await (await session.core()).execute(sa.select(sa.func.count()).select_from(metadata.tables[table]))
    ).scalar_one()
    assert isinstance(found, int)
    return found


async def raw(session: Session, sql: str, **values: object) -> Any:
    """The first value that the driver gives, as it gives it."""
    return (await (await session.core()).execute(sa.text(sql), values)).scalar()


async def reread(session: Session, entity: Base) -> Any:
    await session.flush()
    session.expunge(entity)
    key = tuple(getattr(entity, column.name) for column in sa.inspect(type(entity)).primary_key)
    return await session.get_one(type(entity), key)
