"""What most repositories can write besides: the bulk path, updates, deletes, locks. Flushes, and never commits."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import ClassVar
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col

from database.bulk import BulkInsert
from database.errors import InvalidInputError, NotFoundError, StoreError
from database.prepared import Statement
from models import utc_now
from repositories.bulk import valid_rows
from repositories.ownership import owner_of_new, require_references, table_of, writable
from repositories.read import Condition, ModelT, ReadRepository
from repositories.row_statement import insert_statement, update_statement
from repositories.validation import Row, valid_changes, valid_id, valid_limit, valid_row

__all__ = ["BATCH", "Condition", "ModelT", "ReadRepository", "Repository"]

BATCH = 500
"""Rows of one INSERT: memory stays flat, and the parameters stay below the drivers' limits."""


class Repository(ReadRepository[ModelT]):
    """Writing verbs. `create` stands in each repository, with the columns that a caller may give."""

    kept: ClassVar[frozenset[str]] = frozenset()
    """Columns that are kept true by other writes, as counters are: no caller gives them."""

    fixed: ClassVar[frozenset[str]] = frozenset()
    """Columns that a caller gives to a new row and nobody changes then, besides the key, the owner and the times."""

    async def create_many(self, rows: Iterable[Mapping[str, object]]) -> Sequence[UUID]:
        """The bulk path: rows by column name, each validated; returns the ids in the order given.

        A statement for each 500 rows, on PostgreSQL a COPY. Memory stays flat but for the ids, for an iterator too.
        Nothing is kept if one row is refused and the error leaves the unit.
        """
        ids: list[UUID] = []
        waiting = iter(rows)
        async with BulkInsert(await self.session.core(), table_of(self.model)) as bulk:
            while batch := self._valid_many(list(islice(waiting, BATCH))):
                await bulk.done()
                await self._require(batch)
                await bulk.put(batch)
                ids.extend(row["id"] for row in batch)
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
        return await self._store(self._valid(values))

    async def _store(self, row: Row) -> ModelT:
        stored = await self._one(self._insert_statement(), row)
        return await self._asked_and_stored(row) if stored is None else stored

    async def _asked_and_stored(self, row: Row) -> ModelT:
        """For a row that its statement did not take: what it refers to is asked by name, which raises."""
        await self._require([row])
        # It is there now: another unit has committed it meanwhile.
        stored = await self._one(insert_statement(self.session.dialect_name, self.model, False), row)
        assert stored is not None
        return stored

    def _insert_statement(self) -> Statement:
        """Parameters: all columns. It asks what `_require` asks, and writes no row if that is not so."""
        return insert_statement(self.session.dialect_name, self.model, self.session.owner_id is not None)

    def _valid(self, values: Mapping[str, object]) -> Row:
        row = valid_row(self.model, self._given(values))
        self._check(row)
        return row

    def _valid_many(self, rows: Sequence[Mapping[str, object]]) -> list[Row]:
        try:
            valid = valid_rows(self.model, [self._given(row) for row in rows])
        except InvalidInputError:
            # The first row that is bad in any way is the one that is named.
            return [self._valid(row) for row in rows]
        for row in valid:
            self._check(row)
        return valid

    def _given(self, values: Mapping[str, object]) -> dict[str, object]:
        """What a caller gives of a new row, with what the session adds, before it is validated."""
        given = dict(values)
        for name in self.kept & given.keys():
            raise InvalidInputError(name, "is not a caller's to give")
        if "owner_id" in self.model.model_fields:
            owner = given.get("owner_id")
            if not isinstance(owner, str | None):
                raise InvalidInputError("owner_id", "is not text")
            given["owner_id"] = owner_of_new(self.session, owner)
        return given

    def _check(self, values: Mapping[str, object]) -> None:
        """For rules over several columns that a repository states."""

    def _guard(self, values: Mapping[str, object]) -> tuple[Condition, StoreError] | None:
        """For a rule about the row as it is: when it takes these values, and what is raised when it does not.

        The condition is one that is built once, as the statements are that it stands in.
        """
        return None

    def _writable(self) -> list[Condition]:
        return writable(self.model, self.session.owner_id)

    async def _update(
        self, id: UUID, values: Mapping[str, object], *conditions: Condition, **asked: object
    ) -> ModelT | None:
        """`conditions` are such as are built once, and `asked` the values of their parameters."""
        changed = {"updated_at": utc_now(), **values}
        owned = self.session.owner_id is not None
        statement = update_statement(self.model, tuple(sorted(changed)), owned, *conditions)
        return await self._one(statement, {**asked, "id": id, **changed})

    async def _require(self, rows: Sequence[Row]) -> None:
        await require_references(self.session, self.model, rows)

    async def _delete(self, *conditions: Condition) -> int:
        connection = await self.session.core()
        statement = sa.delete(table_of(self.model)).where(*conditions, *self._writable())
        return int((await connection.execute(statement)).rowcount)
