"""What every repository can read of its rows, within what the session's owner may see."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import selectinload
from sqlalchemy.sql.base import ExecutableOption
from sqlmodel import col, select

from database import Session
from database.errors import InvalidInputError, NotFoundError
from database.prepared import Statement
from models import Entity
from models.types import UTCDateTime
from repositories.ownership import table_of, visible
from repositories.pagination import Key, Page, decode_cursor, encode_cursor
from repositories.row_statement import parameters, select_statement
from repositories.validation import valid_changes, valid_id, valid_limit

ModelT = TypeVar("ModelT", bound=Entity)

Condition = sa.ColumnElement[bool]


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
        key, loads = valid_id(id), self._loads(load)
        if not loads:
            statement = select_statement(self.model, self.session.owner_id is not None)
            return await self._one(statement, {"id": key}, reads=True)
        rows = await self._select(col(self.model.id) == key, options=loads)
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

    async def _one(self, statement: Statement, values: Mapping[str, object], *, reads: bool = False) -> ModelT | None:
        """The entity of the row that is given by a statement that is built once; its parameters: `parameter`."""
        send = self.session.read if reads else self.session.fetch
        found = await send(statement, parameters(values, self.session.owner_id))
        if not found:
            return None
        [row] = found
        return self.session.entity(self.model, dict(zip(table_of(self.model).columns.keys(), row, strict=True)))

    async def _count(self, *conditions: Condition, **asked: object) -> int:
        """`asked`: the values of the conditions' own parameters."""
        connection = await self.session.core()
        statement = (
            sa.select(sa.func.count())
            .select_from(table_of(self.model))
            .where(*conditions, *visible(self.model, self.session.owner_id))
        )
        return int((await connection.execute(statement, parameters(asked, None))).scalar_one())

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
