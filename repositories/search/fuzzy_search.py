"""Fuzzy search as the repositories ask for it, and its index as commands build and drop it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa
from sqlmodel import col, select

from database import Database, Session
from database.errors import ConfigurationError, NotMigratedError, QueryError
from models import Entity
from repositories.search import postgres_fuzzy, sqlite_fuzzy
from repositories.search.contract import TableIndex
from repositories.search.fuzzy import FUZZY, LONGEST, FuzzyQuery, FuzzyText, fuzzy_words
from repositories.search.likeness import LEAST_SIMILARITY, mean_similarities
from repositories.validation import valid_id, valid_limit, valid_text

T = TypeVar("T", covariant=True)
ModelT = TypeVar("ModelT", bound=Entity)

Asked = tuple[sa.TextualSelect, dict[str, object]]
"""A statement with its values."""

MOST_AT_ONCE = 100_000
"""Characters that are compared while other tasks wait, which takes some ten milliseconds; more in a thread."""

NO_INDEX = "fuzzy search has no index here; build it with `python -m scripts index --fuzzy`"


@dataclass(frozen=True, slots=True)
class Similar(Generic[T]):
    """A row that resembles the question. `similarity`: 0.3 to 1, which is every word of it as it is written."""

    row: T
    similarity: float


class Fuzzy(Protocol):
    """What each database does its own way."""

    async def is_ready(self, session: Session, text: FuzzyText) -> bool: ...

    def statement(self, query: FuzzyQuery) -> Asked: ...

    async def build(self, database: Database) -> Sequence[TableIndex]: ...

    async def drop(self, database: Database) -> None: ...


async def similar_rows(
    session: Session, model: type[ModelT], text: str, scope: Mapping[str, object], limit: int
) -> tuple[Similar[ModelT], ...]:
    """As entities, which one more statement reads."""
    hits = await similar_records(session, model, ("id", FUZZY[model].column), text, scope, limit)
    if not hits:
        return ()
    query = select(model).where(col(model.id).in_([row[0] for row, _ in hits]))
    rows = await session.exec(query.execution_options(populate_existing=True))
    found = {row.id: row for row in rows}
    return tuple(Similar(found[row[0]], similarity) for row, similarity in hits if row[0] in found)


async def similar_records(
    session: Session,
    model: type[Entity],
    columns: tuple[str, ...],
    text: str,
    scope: Mapping[str, object],
    limit: int,
) -> Sequence[tuple[Sequence[Any], float]]:
    """As rows of the columns, each with its similarity; the id and the text are among them."""
    known: dict[str, object] = {name: valid_id(value, name) for name, value in scope.items() if value is not None}
    if session.owner_id is not None:
        known["owner_id"] = session.owner_id
    query = FuzzyQuery(model, fuzzy_words(valid_text(text, "text")), known, columns, valid_limit(limit))
    fuzzy, index = _fuzzy_on(session.dialect_name), query.text.index
    if index not in session.remembered:
        if not await fuzzy.is_ready(session, query.text):
            raise ConfigurationError(NO_INDEX)
        session.remembered.add(index)
    if not query.words:
        return ()
    try:
        rows = await session.read(*fuzzy.statement(query))
    except (NotMigratedError, QueryError) as error:
        # Somebody else has dropped it since.
        session.remembered.discard(index)
        raise ConfigurationError(NO_INDEX) from error
    texts = [row[columns.index(query.text.column)][:LONGEST] for row in rows]
    if sum(map(len, texts)) > MOST_AT_ONCE:
        alike = await asyncio.to_thread(mean_similarities, query.words, texts)
    else:
        alike = mean_similarities(query.words, texts)
    hits = [hit for hit in zip(rows, alike, strict=True) if hit[1] >= LEAST_SIMILARITY]
    id = columns.index("id")
    return sorted(hits, key=lambda hit: (-hit[1], hit[0][id]))[: query.limit]


def _fuzzy_on(dialect_name: str) -> Fuzzy:
    return postgres_fuzzy if dialect_name == "postgresql" else sqlite_fuzzy


async def build_fuzzy_index(database: Database) -> Sequence[TableIndex]:
    """Build what `personas.similar`, `conversations.similar` and `messages.similar` need; what is there is left.

    Not inside a unit of work. On PostgreSQL reading and writing go on, and what a killed build left is built anew; on
    SQLite the write lock is held until it is done. From then on every write of a name, a title or a message keeps it.
    Raises ConfigurationError where the database knows no letters but ASCII's.
    """
    return await _fuzzy_on(database.url.get_backend_name()).build(database)


async def drop_fuzzy_index(database: Database) -> None:
    """Take it away, with what it costs each write; not inside a unit of work."""
    async with database.session() as session:
        session.remembered.difference_update(text.index for text in FUZZY.values())
    await _fuzzy_on(database.url.get_backend_name()).drop(database)
