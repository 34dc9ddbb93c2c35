"""Embedding spaces: what vectors mean, which one is used where none is named, and their end with all their vectors."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col

from database.errors import DuplicateError, NotFoundError, ReadOnlyError, SerializationError
from models import EmbeddingSpace, Metric, SpaceStatus, new_id
from repositories.base import Repository
from repositories.ownership import table_of
from repositories.pagination import Page
from repositories.search import TableIndex, search_on
from repositories.validation import valid_changes, valid_id
from repositories.vectors import valid_space

SPACES = table_of(EmbeddingSpace)


class EmbeddingSpaceRepository(Repository[EmbeddingSpace]):
    """Spaces belong to all owners together: a session of one owner reads them, and any write in it raises
    ReadOnlyError."""

    model = EmbeddingSpace
    kept = frozenset({"status"})
    fixed = frozenset({"dimensions", "metric"})

    async def create(
        self, *, name: str, dimensions: int, metric: Metric | str = Metric.COSINE, id: UUID | None = None
    ) -> EmbeddingSpace:
        """A new space, `building` until it is activated. Raises DuplicateError for a name that is there."""
        self._refuse_owner()
        return await self._create(id=id or new_id(), name=name, dimensions=dimensions, metric=metric)

    async def get_by_name(self, name: str) -> EmbeddingSpace:
        """Raises NotFoundError."""
        rows = await self._select(*self._matching(name=name))
        if not rows:
            raise NotFoundError("EmbeddingSpace", name)
        return rows[0]

    async def active(self) -> EmbeddingSpace | None:
        """The space of a vector that comes without one."""
        found = await self._select(col(EmbeddingSpace.status) == SpaceStatus.ACTIVE)
        return found[0] if found else None

    async def page(
        self, *, status: SpaceStatus | str | None = None, after: str | None = None, limit: int = 50
    ) -> Page[EmbeddingSpace]:
        """The newest first."""
        return await self._page(("id",), *self._matching(status=status), after=after, limit=limit)

    async def indexes(self, space: EmbeddingSpace) -> Sequence[TableIndex]:
        """Where the approximate index of each table with vectors is; one statement at most."""
        valid_space(space)
        connection = await self.session.core()
        return await search_on(connection.dialect.name).indexes(connection, space)

    async def activate(self, id: UUID) -> EmbeddingSpace:
        """From the end of this unit on, the space that is used where none is named; the one before is retired.

        Three statements. Locks every space, so that of two who activate the later one holds. Raises NotFoundError;
        SerializationError where a unit that began before this one activated a space that it made itself.
        """
        self._refuse_owner()
        key = valid_id(id)
        connection = await self.session.core()
        every = sa.select(SPACES.c.id).order_by(SPACES.c.id).with_for_update(key_share=True)
        if key not in (await connection.execute(every)).scalars().all():
            raise NotFoundError("EmbeddingSpace", id)
        # First the one before: at no time may two be active.
        others = sa.update(SPACES).where(SPACES.c.status == SpaceStatus.ACTIVE, SPACES.c.id != key)
        await connection.execute(others.values(status=SpaceStatus.RETIRED))
        try:
            return await self._set_status(key, SpaceStatus.ACTIVE)
        except DuplicateError as error:
            # A space that could be neither seen nor locked: done again, this unit retires it.
            raise SerializationError from error

    async def retire(self, id: UUID) -> EmbeddingSpace:
        """Its vectors stay and can be searched by naming it. Raises NotFoundError."""
        self._refuse_owner()
        return await self._set_status(valid_id(id), SpaceStatus.RETIRED)

    async def create_many(self, rows: Iterable[Mapping[str, object]]) -> Sequence[UUID]:
        self._refuse_owner()
        return await super().create_many(rows)

    async def update(self, id: UUID, /, **changes: object) -> EmbeddingSpace:
        """Only the name changes so: vectors hold on to the width and the metric, and the status has verbs."""
        self._refuse_owner()
        return await super().update(id, **changes)

    async def delete_many(self, ids: Iterable[UUID]) -> int:
        """Spaces with their vectors, and on PostgreSQL their indexes, for which other users of the vectors wait."""
        self._refuse_owner()
        keys = [valid_id(id, "ids") for id in ids]
        if keys:
            connection = await self.session.core()
            await search_on(connection.dialect.name).drop_indexes(connection, keys)
        return await super().delete_many(keys)

    async def lock(self, id: UUID) -> EmbeddingSpace:
        self._refuse_owner()
        return await super().lock(id)

    async def _set_status(self, id: UUID, status: SpaceStatus) -> EmbeddingSpace:
        space = await self._update(id, valid_changes(EmbeddingSpace, {"status": status}))
        if space is None:
            raise NotFoundError("EmbeddingSpace", id)
        return space

    def _refuse_owner(self) -> None:
        if self.session.owner_id is not None:
            raise ReadOnlyError("embedding spaces are shared by all owners; change them in a unit without owner_id")
