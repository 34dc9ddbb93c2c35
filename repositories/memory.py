"""Memories: remembered with or without a vector, recalled by one, touched when they are used, forgotten by filter."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from database.errors import InvalidInputError
from models import EmbeddingSpace, Memory, MemoryEmbedding
from models.values import VectorLike
from repositories.base import BATCH
from repositories.memory_recall import MemoryRecall, as_column
from repositories.memory_record import MEMORY_COLUMNS, MemoryRecord
from repositories.memory_remember import MemoryRemember
from repositories.ownership import table_of, visible
from repositories.pagination import Page
from repositories.validation import valid_time
from repositories.vectors import put_vector, put_vectors

MEMORIES = table_of(Memory)

HAPPENED = sa.func.coalesce(MEMORIES.c.occurred_at, MEMORIES.c.created_at)


class MemoryRepository(MemoryRemember, MemoryRecall):
    """A memory's owner is its conversation's, where it has one; else that of the session, or the one given."""

    model = Memory
    kept = frozenset({"last_accessed_at", "access_count"})
    fixed = frozenset({"conversation_id"})

    async def embed(self, id: UUID, vector: VectorLike, space: EmbeddingSpace | None = None) -> None:
        """Give a memory its vector in a space, or another one than before; one statement, as `put_vector` says."""
        await put_vector(self.session, MemoryEmbedding, id, vector, space)

    async def embed_many(self, vectors: Iterable[tuple[UUID, VectorLike]], space: EmbeddingSpace | None = None) -> int:
        """(id, vector) pairs, two statements for each 500; returns how many. Raises NotFoundError."""
        return await put_vectors(self.session, MemoryEmbedding, vectors, space)

    async def forget(
        self,
        *,
        conversation_id: UUID | None = None,
        persona_id: UUID | None = None,
        memory_type: str | None = None,
        max_importance: float | None = None,
        before: datetime | None = None,
    ) -> int:
        """Delete what passes every filter given, at least one; one statement. Returns how many there were.

        `before` is about when it happened, or was remembered where that is not known.
        """
        conditions = self._matching(conversation_id=conversation_id, persona_id=persona_id, memory_type=memory_type)
        if max_importance is not None:
            conditions.append(MEMORIES.c.importance <= as_column("importance", max_importance, "max_importance"))
        if before is not None:
            conditions.append(sa.bindparam(None, valid_time(before, "before"), MEMORIES.c.created_at.type) > HAPPENED)
        if not conditions:
            raise InvalidInputError("filters", "name at least one of what to forget")
        return await self._delete(*conditions)

    async def page(
        self,
        *,
        conversation_id: UUID | None = None,
        persona_id: UUID | None = None,
        memory_type: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Memory]:
        """The newest first, by when they were remembered."""
        conditions = self._matching(conversation_id=conversation_id, persona_id=persona_id, memory_type=memory_type)
        return await self._page(("id",), *conditions, after=after, limit=limit)

    async def count(
        self,
        *,
        conversation_id: UUID | None = None,
        persona_id: UUID | None = None,
        memory_type: str | None = None,
    ) -> int:
        return await self._count(
            *self._matching(conversation_id=conversation_id, persona_id=persona_id, memory_type=memory_type)
        )

    async def stream(
        self,
        *,
        conversation_id: UUID | None = None,
        persona_id: UUID | None = None,
        memory_type: str | None = None,
    ) -> AsyncIterator[MemoryRecord]:
        """All of them, the oldest first, memory flat; a statement for each 500."""
        conditions = self._matching(conversation_id=conversation_id, persona_id=persona_id, memory_type=memory_type)
        statement = (
            sa.select(*MEMORY_COLUMNS)
            .where(*conditions, *visible(Memory, self.session.owner_id))
            .order_by(MEMORIES.c.id)
            .limit(BATCH)
        )
        connection = await self.session.core()
        rows = (await connection.execute(statement)).mappings().all()
        while rows:
            for row in rows:
                yield MemoryRecord.of(row)
            if len(rows) < BATCH:
                return
            connection = await self.session.core()
            rows = (await connection.execute(statement.where(MEMORIES.c.id > rows[-1]["id"]))).mappings().all()
