"""Fuzzy search as the repositories ask for it, and its index as commands build and drop it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import select

from database import Database, Session
from database.errors import ConfigurationError
from models import Entity
from repositories.ownership import table_of
from repositories.search import postgres_fuzzy, sqlite_fuzzy
from repositories.search.contract import TableIndex
from repositories.search.fuzzy import FuzzyQuery, FuzzyText, fuzzy_words
from repositories.validation import valid_id, valid_limit, valid_text

T = TypeVar("T", covariant=True)
ModelT = TypeVar("ModelT", bound=Entity)
RowT = TypeVar("RowT")

Asked = tuple[sa.TextualSelect, dict[str, object]]
"""A statement with its values."""


@dataclass(frozen=True, slots=True)
class Similar(Generic[T]):
    """A row that resembles the question. `similarity`: 0.3 to 1, which is every word of it as it is written."""

    row: T
    similarity: float


class Fuzzy(Protocol):
    """What each database does its own way."""

    async def is_ready(self, connection: AsyncConnection, text: FuzzyText) -> bool: ...

    def statement(self, query: FuzzyQuery) -> Asked: ...

    async def build(self, database: Database) -> Sequence[TableIndex]: ...

    async def drop(self, database: Database) -> None: ...


async def similar_rows(
    session: Session, model: type[ModelT], text: str, scope: Mapping[str, object], limit: int
) -> tuple[Similar[ModelT], ...]:
    """As entities."""
    asked = await _asked(session, model, text, scope, limit)
    if asked is None:
        return ()
    statement, values = asked
    found = statement.subquery("found")
    query = select(model, found.c.similarity).join(found, found.c.id == model.id)
    query = query.order_by(found.c.similarity.desc(), found.c.id)
    rows = await session.exec(query, params=values, execution_options={"populate_existing": True})
    return tuple(Similar(row, similarity) for row, similarity in rows)


async def similar_records(
    session: Session,
    model: type[Entity],
    columns: Sequence[sa.ColumnElement[Any]],
    record: Callable[[RowMapping], RowT],
    text: str,
    scope: Mapping[str, object],
    limit: int,
) -> tuple[Similar[RowT], ...]:
    """As what `record` makes of the columns."""
    asked = await _asked(session, model, text, scope, limit)
    if asked is None:
        return ()
    statement, values = asked
    found, table = statement.subquery("found"), table_of(model)
    query = sa.select(*columns, found.c.similarity).join_from(table, found, found.c.id == table.c.id)
    query = query.order_by(found.c.similarity.desc(), found.c.id)
    rows = (await (await session.core()).execute(query, values)).mappings()
    return tuple(Similar(record(row), row["similarity"]) for row in rows)


async def _asked(
    session: Session, model: type[Entity], text: str, scope: Mapping[str, object], limit: int
) -> Asked | None:
    """The statement with its values; None where the question has no word."""
    known: dict[str, object] = {name: valid_id(value, name) for name, value in scope.items() if value is not None}
    if session.owner_id is not None:
        known["owner_id"] = session.owner_id
    query = FuzzyQuery(model, fuzzy_words(valid_text(text, "text")), known, valid_limit(limit))
    connection = await session.core()
    fuzzy = _fuzzy_on(connection.dialect.name)
    if not await fuzzy.is_ready(connection, query.text):
        raise ConfigurationError("fuzzy search has no index here; build it with `python -m scripts index --fuzzy`")
    return fuzzy.statement(query) if query.words else None


def _fuzzy_on(dialect_name: str) -> Fuzzy:
    return postgres_fuzzy if dialect_name == "postgresql" else sqlite_fuzzy


async def build_fuzzy_index(database: Database) -> Sequence[TableIndex]:
    """Build what `personas.similar`, `conversations.similar` and `messages.similar` need; what is there is left.

    Not inside a unit of work. On PostgreSQL reading and writing go on, and what a killed build left is built anew; on
    SQLite the write lock is held until it is done. From then on every write of a name, a title or a message keeps it.
    Raises ConfigurationError where the server has no pg_trgm, or this role may not make it.
    """
    return await _fuzzy_on(database.url.get_backend_name()).build(database)


async def drop_fuzzy_index(database: Database) -> None:
    """Take it away, with what it costs each write; not inside a unit of work."""
    await _fuzzy_on(database.url.get_backend_name()).drop(database)
