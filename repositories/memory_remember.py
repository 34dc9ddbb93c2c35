"""How memories are made: one with its vector at once, or many, each of them its conversation's owner's."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from database.errors import InvalidInputError
from models import Conversation, EmbeddingSpace, Memory, MemoryEmbedding, MemoryType, new_id
from models.values import VectorLike
from repositories.base import BATCH, Repository
from repositories.embedder import Embedder, embed_texts, refuse_both
from repositories.ownership import table_of
from repositories.remember import remember_statement
from repositories.upsert import writes_in_cte
from repositories.validation import Row
from repositories.vectors import store_new_vectors, store_vectors, valid_vectors

CONVERSATIONS = table_of(Conversation)


class MemoryRemember(Repository[Memory]):
    """The part of the repository of memories that makes them."""

    async def remember(
        self,
        content: str,
        *,
        conversation_id: UUID | None = None,
        persona_id: UUID | None = None,
        first_message_id: UUID | None = None,
        memory_type: str = MemoryType.EPISODIC,
        importance: float = 0.5,
        occurred_at: datetime | None = None,
        vector: VectorLike | None = None,
        space: EmbeddingSpace | None = None,
        embedder: Embedder | None = None,
        owner_id: str | None = None,
        extra_data: Mapping[str, object] | None = None,
        id: UUID | None = None,
    ) -> Memory:
        """Keep something in mind; with a vector, or an embedder that makes it, it can be recalled.

        Without `space` a vector is of the active one, and an embedder's of the one that has its name and dimensions.
        The embedder is called before any statement; an empty text gets no vector. One statement, on
        SQLite one more for the vector, and one for a space that is not given. Raises DuplicateError,
        MissingReferenceError, DimensionError, InvalidInputError("space") where there is no such space, and
        InvalidInputError("embedder") for one beside a vector, or whose vectors are no good.
        """
        row = self._valid(
            {
                "id": id or new_id(),
                "owner_id": owner_id,
                "conversation_id": conversation_id,
                "persona_id": persona_id,
                "first_message_id": first_message_id,
                "content": content,
                "memory_type": memory_type,
                "importance": importance,
                "occurred_at": occurred_at,
                "extra_data": extra_data or {},
            }
        )
        if embedder is not None:
            refuse_both(vector)
            [vector], space = await embed_texts(self.session, embedder, [content], space)
        [array], space = await valid_vectors(self.session, [vector], space)
        return await self._remember(row, array, space)

    async def remember_many(
        self,
        rows: Iterable[Mapping[str, object]],
        *,
        space: EmbeddingSpace | None = None,
        embedder: Embedder | None = None,
    ) -> Sequence[UUID]:
        """The bulk path: mappings with the arguments of `remember`; returns the ids in the order given.

        Two or three statements for each 500, and one for a space that is not given. Memory stays flat, for an iterator
        too. With an embedder no mapping has a vector, and all rows and their vectors are in memory: it is called for
        each 500 of them, before the first statement.
        """
        if embedder is not None:
            rows, space = await self._embedded(rows, space, embedder)
        ids: list[UUID] = []
        waiting = iter(rows)
        while batch := [dict(row) for row in islice(waiting, BATCH)]:
            vectors: list[Any] = [row.pop("vector", None) for row in batch]
            arrays, space = await valid_vectors(self.session, vectors, space)
            made = await self.create_many(batch)
            pairs = [(id, array) for id, array in zip(made, arrays, strict=True) if array is not None]
            if pairs and space is not None:
                await store_new_vectors(self.session, MemoryEmbedding, pairs, space)
            ids.extend(made)
        return ids

    async def _remember(self, row: Row, vector: NDArray[np.float32] | None, space: EmbeddingSpace | None) -> Memory:
        owned, dialect_name = self.session.owner_id is not None, self.session.dialect_name
        at_once = vector is not None and writes_in_cte(dialect_name)
        statement = remember_statement(dialect_name, owned, row["conversation_id"] is not None, at_once)
        values = {**row, "embedding": vector, "embedding_space_id": None if space is None else space.id}
        memory = await self._one(statement, values)
        if memory is None:
            memory, at_once = await self._asked_and_stored(row), False
        if vector is not None and space is not None and not at_once:
            await store_vectors(self.session, MemoryEmbedding, [(memory.id, vector)], space)
        return memory

    async def _embedded(
        self, rows: Iterable[Mapping[str, object]], space: EmbeddingSpace | None, embedder: Embedder
    ) -> tuple[Sequence[Mapping[str, object]], EmbeddingSpace]:
        """The rows with their vectors; none is paid for if a row is refused."""
        given = [dict(row) for row in rows]
        for row in given:
            refuse_both(row.pop("vector", None))
        texts = [row["content"] for row in self._valid_many(given)]
        vectors, space = await embed_texts(self.session, embedder, texts, space)
        return [row | {"vector": vector} for row, vector in zip(given, vectors, strict=True)], space

    async def _require(self, rows: Sequence[Row]) -> None:
        """What they refer to is there; without an owner in the session the conversation says whose they are."""
        await super()._require(rows)
        talks = {row["conversation_id"] for row in rows} - {None}
        if self.session.owner_id is not None or not talks:
            return
        connection = await self.session.core()
        statement = sa.select(CONVERSATIONS.c.id, CONVERSATIONS.c.owner_id).where(CONVERSATIONS.c.id.in_(talks))
        owners = {row.id: row.owner_id for row in await connection.execute(statement)}
        for row in rows:
            if row["conversation_id"] in owners:
                owner_id = owners[row["conversation_id"]]
                if row["owner_id"] not in (None, owner_id):
                    raise InvalidInputError("owner_id", "is not the owner of the conversation")
                row["owner_id"] = owner_id
