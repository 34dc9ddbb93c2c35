"""What every repository can do: read its rows, and for most tables write them. Flushes, and never commits."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import selectinload
from sqlalchemy.sql.base import ExecutableOption
from sqlmodel import col, select

from database import Session
from database.errors import InvalidInputError, NotFoundError, StoreError
from models import Entity
from models.types import UTCDateTime
from repositories.ownership import owner_of_new, require_references, table_of, visible, writable
from repositories.pagination import Key, Page, decode_cursor, encode_cursor
from repositories.validation import valid_changes, valid_id, valid_limit, valid_row

ModelT = TypeVar("ModelT", bound=Entity)

Condition = sa.ColumnElement[bool]

BATCH = 500
"""Rows of one INSERT: memory stays flat, and the parameters stay below the drivers' limits."""


class ReadRepository(Generic[ModelT]):
    """Reading verbs. In a session of one owner they see that owner's rows only; another's is simply not found."""

    model: type[ModelT]

    def __init__(self, session: Session) -> None:
        self.session = session

    async def get(self, id: UUID, *, load: Iterable[str] = ()) -> ModelT:
        """The row as it is in the database now; `load` names relationships to read with it, one statement each.

        Raises NotFoundError.
        """
        row = await self.get_or_none(id, load=load)
        if row is None:
            raise NotFoundError(self.model.__name__, id)
        return row

    async def get_or_none(self, id: UUID, *, load: Iterable[str] = ()) -> ModelT | None:
        rows = await self._select(col(self.model.id) == valid_id(id), options=self._loads(load))
        return rows[0] if rows else None

    async def get_many(self, ids: Iterable[UUID], *, load: Iterable[str] = ()) -> Sequence[ModelT]:
        """The rows in the order asked; an id that is not found is left out. At most 1000 ids."""
        wanted = [valid_id(id, "ids") for id in ids]
        if not wanted:
            return []
        valid_limit(len(wanted), "ids")
        rows = await self._select(col(self.model.id).in_(wanted), options=self._loads(load))
        found = {row.id: row for row in rows}
        return [found[id] for id in wanted if id in found]

    async def page(self, *, after: str | None = None, limit: int = 50) -> Page[ModelT]:
        """Rows newest first, by id; `after` is the `next` of the page before. Raises InvalidCursorError."""
        return await self._page(("id",), after=after, limit=limit)

    async def count(self) -> int:
        return await self._count()

    async def exists(self, id: UUID) -> bool:
        return await self._count(col(self.model.id) == valid_id(id)) > 0

    async def _select(
        self, *conditions: Condition, options: Sequence[ExecutableOption] = (), lock: bool = False
    ) -> Sequence[ModelT]:
        """Entities as they are now: what the session holds of them is refreshed."""
        await self.session.core()
        statement = (
            select(self.model)
            .where(*conditions, *visible(self.model, self.session.owner_id))
            .options(*options)
            .execution_options(populate_existing=True)
        )
        if lock:
            statement = statement.with_for_update(key_share=True)
        return (await self.session.exec(statement)).all()

    async def _count(self, *conditions: Condition) -> int:
        connection = await self.session.core()
        statement = (
            sa.select(sa.func.count())
            .select_from(table_of(self.model))
            .where(*conditions, *visible(self.model, self.session.owner_id))
        )
        return int((await connection.execute(statement)).scalar_one())

    async def _page(
        self, order: Sequence[str], *conditions: Condition, after: str | None, limit: int, descending: bool = True
    ) -> Page[ModelT]:
        """A keyset page by columns that together are unique; one row more than asked tells whether there is a next."""
        await self.session.core()
        columns = [table_of(self.model).c[name] for name in order]
        name = f"{self.model.__tablename__}:{','.join(order)}:{descending}"
        statement = select(self.model).where(*conditions, *visible(self.model, self.session.owner_id))
        if after is not None:
            kinds = [
                datetime if isinstance(column.type, UTCDateTime) else column.type.python_type for column in columns
            ]
            keys = decode_cursor(after, name, kinds)
            values = [sa.bindparam(None, key, type_=column.type) for key, column in zip(keys, columns, strict=True)]
            place = sa.tuple_(*columns) < sa.tuple_(*values) if descending else sa.tuple_(*columns) > sa.tuple_(*values)
            statement = statement.where(place)
        ordered = statement.order_by(*(column.desc() if descending else column.asc() for column in columns))
        found = (
            await self.session.exec(ordered.limit(valid_limit(limit) + 1).execution_options(populate_existing=True))
        ).all()
        rows = found[:limit]
        more = len(found) > limit
        last: list[Key] = [getattr(rows[-1], key) for key in order] if more else []
        return Page(rows, encode_cursor(name, last) if more else None)

    def _matching(self, **filters: object) -> list[Condition]:
        """Equality with each filter that is given; a bad value is refused by its name."""
        given = {name: value for name, value in filters.items() if value is not None}
        return [table_of(self.model).c[name] == value for name, value in valid_changes(self.model, given).items()]

    def _loads(self, names: Iterable[str]) -> list[ExecutableOption]:
        relationships = sa.inspect(self.model).relationships
        options: list[ExecutableOption] = []
        for name in names:
            if name not in relationships:
                raise InvalidInputError("load", "is not a relationship")
            options.append(selectinload(getattr(self.model, name)))
        return options


class Repository(ReadRepository[ModelT]):
    """Writing verbs. `create` stands in each repository, with the columns that a caller may give."""

    kept: ClassVar[frozenset[str]] = frozenset()
    """Columns that are kept true by other writes, as counters are: no caller gives them."""

    fixed: ClassVar[frozenset[str]] = frozenset()
    """Columns that a caller gives to a new row and nobody changes then, besides the key, the owner and the times."""

    async def create_many(self, rows: Iterable[Mapping[str, object]]) -> Sequence[UUID]:
        """The bulk path: rows by column name, each validated; returns the ids in the order given.

        A statement for each 500 rows. Memory stays flat, for an iterator too. Nothing is kept if one row is refused
        and the error leaves the unit.
        """
        connection = await self.session.core()
        ids: list[UUID] = []
        waiting = iter(rows)
        while batch := [self._valid(row) for row in islice(waiting, BATCH)]:
            await self._require(batch)
            await connection.execute(sa.insert(table_of(self.model)), [_columns(row) for row in batch])
            ids.extend(row.id for row in batch)
        return ids

    async def update(self, id: UUID, /, **changes: object) -> ModelT:
        """Change the named columns only, in one statement; raises NotFoundError, InvalidInputError for another name."""
        key = valid_id(id)
        fixed = {"id", "owner_id", "created_at", "updated_at"} | self.fixed | self.kept
        values = valid_changes(self.model, changes, fixed)
        self._check(values)
        await require_references(self.session, self.model, [values])
        guard = self._guard(values)
        row = await self._update(key, values, *([] if guard is None else [guard[0]]))
        if row is not None:
            return row
        if guard is not None and await self._count(col(self.model.id) == key, *self._writable()):
            raise guard[1]
        raise NotFoundError(self.model.__name__, id)

    async def delete(self, id: UUID) -> bool:
        """Whether there was such a row. What belongs to it goes with it, in the database."""
        return await self.delete_many([id]) > 0

    async def delete_many(self, ids: Iterable[UUID]) -> int:
        """How many rows there were of these, at most 1000 ids."""
        keys = [valid_id(id, "ids") for id in ids]
        if not keys:
            return 0
        valid_limit(len(keys), "ids")
        return await self._delete(col(self.model.id).in_(keys))

    async def lock(self, id: UUID) -> ModelT:
        """The row, locked until the unit ends; on SQLite the unit holds the one write lock already.

        FOR NO KEY UPDATE: rows that refer to it may be written meanwhile. Raises NotFoundError.
        """
        rows = await self._select(col(self.model.id) == valid_id(id), lock=True)
        if not rows:
            raise NotFoundError(self.model.__name__, id)
        return rows[0]

    async def _create(self, **values: object) -> ModelT:
        row = self._valid(values)
        await self._require([row])
        await self.session.core()
        statement = (
            sa.insert(self.model)
            .values(**_columns(row))
            .returning(self.model)
            .execution_options(populate_existing=True)
        )
        stored: ModelT = (await self.session.exec(statement)).scalar_one()
        return stored

    def _valid(self, values: Mapping[str, object]) -> ModelT:
        given = dict(values)
        for name in self.kept & given.keys():
            raise InvalidInputError(name, "is not a caller's to give")
        if "owner_id" in self.model.model_fields:
            owner = given.get("owner_id")
            if not isinstance(owner, str | None):
                raise InvalidInputError("owner_id", "is not text")
            given["owner_id"] = owner_of_new(self.session, owner)
        row = valid_row(self.model, given)
        self._check(_columns(row))
        return row

    def _check(self, values: Mapping[str, object]) -> None:
        """For rules over several columns that a repository states."""

    def _guard(self, values: Mapping[str, object]) -> tuple[Condition, StoreError] | None:
        """For a rule about the row as it is: when it takes these values, and what is raised when it does not."""
        return None

    def _writable(self) -> list[Condition]:
        return writable(self.model, self.session.owner_id)

    async def _update(self, id: UUID, values: Mapping[str, object], *conditions: Condition) -> ModelT | None:
        await self.session.core()
        statement = (
            sa.update(self.model)
            .where(col(self.model.id) == id, *conditions, *self._writable())
            .values(**values)
            .returning(self.model)
            .execution_options(populate_existing=True, synchronize_session=False)
        )
        row: ModelT | None = (await self.session.exec(statement)).scalar_one_or_none()
        return row

    async def _require(self, rows: Sequence[ModelT]) -> None:
        await require_references(self.session, self.model, [_columns(row) for row in rows])

    async def _delete(self, *conditions: Condition) -> int:
        connection = await self.session.core()
        statement = sa.delete(table_of(self.model)).where(*conditions, *self._writable())
        return int((await connection.execute(statement)).rowcount)


def _columns(row: Entity) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in table_of(type(row)).columns}
