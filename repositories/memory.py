"""Memories: remembered with or without a vector, recalled by one, touched when they are used, forgotten by filter."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from database.errors import InvalidInputError
from models import Conversation, EmbeddingSpace, Memory, MemoryEmbedding, MemoryType, new_id, utc_now
from models.types import VectorLike
from repositories.base import BATCH, Repository
from repositories.embedder import Embedder, embed_texts, refuse_both
from repositories.memory_record import MEMORY_COLUMNS, MemoryRecord, RecalledMemory
from repositories.ownership import table_of, visible
from repositories.pagination import Page
from repositories.remember import remember_statement
from repositories.search import MEMORIES as SOURCE
from repositories.search import (
    MemoryQuery,
    Mode,
    RecallRanking,
    SearchResult,
    VectorQuery,
    search_on,
)
from repositories.search.words import asked_words
from repositories.upsert import writes_in_cte
from repositories.validation import Row, valid_changes, valid_id, valid_limit, valid_time, valid_vector
from repositories.vectors import (
    put_vector,
    put_vectors,
    space_or_active,
    store_new_vectors,
    store_vectors,
    valid_vectors,
)

CONVERSATIONS = table_of(Conversation)
MEMORIES = table_of(Memory)

HAPPENED = sa.func.coalesce(MEMORIES.c.occurred_at, MEMORIES.c.created_at)


class MemoryRepository(Repository[Memory]):
    """A memory's owner is its conversation's, where it has one; else that of the session, or the one given."""

    model = Memory
    kept = frozenset({"last_accessed_at", "access_count"})
    fixed = frozenset({"conversation_id"})

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

    async def embed(self, id: UUID, vector: VectorLike, space: EmbeddingSpace | None = None) -> None:
        """Give a memory its vector in a space, or another one than before; one statement, as `put_vector` says."""
        await put_vector(self.session, MemoryEmbedding, id, vector, space)

    async def embed_many(self, vectors: Iterable[tuple[UUID, VectorLike]], space: EmbeddingSpace | None = None) -> int:
        """(id, vector) pairs, two statements for each 500; returns how many. Raises NotFoundError."""
        return await put_vectors(self.session, MemoryEmbedding, vectors, space)

    async def recall(
        self,
        vector: VectorLike | None = None,
        *,
        text: str | None = None,
        space: EmbeddingSpace | None = None,
        conversation_id: UUID | None = None,
        persona_id: UUID | None = None,
        memory_type: str | None = None,
        min_importance: float | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        ranking: RecallRanking | None = None,
        now: datetime | None = None,
        limit: int = 10,
        mode: Mode = "auto",
        touch: bool = False,
    ) -> SearchResult[RecalledMemory]:
        """The memories nearest to a vector of a space, the best first, ties by id; 1 to 1000 of them.

        With `text` those that hold one of its words, or both; `ranking` weighs the two, and importance and age (from
        `now`) where it says so, and the score is its: docs/ranking.md. `since` (included) and `until` (not) are about
        when it happened, or was remembered where that is not known. A wide scope goes through the
        space's index where one is built: docs/search.md.
        `touch` counts the hits as used. One statement; one more for the active space, for an index, and for `touch`.
        """
        if vector is None and text is None:
            raise InvalidInputError("vector", "or text must be given")
        array = None
        if vector is not None:
            space = await space_or_active(self.session, space)
            array = valid_vector(vector, space)
        filters = {
            "owner_id": self.session.owner_id,
            "conversation_id": None if conversation_id is None else valid_id(conversation_id, "conversation_id"),
            "persona_id": None if persona_id is None else valid_id(persona_id, "persona_id"),
            "memory_type": _as_column("memory_type", memory_type, "memory_type"),
            "min_importance": _as_column("importance", min_importance, "min_importance"),
            "since": None if since is None else valid_time(since, "since"),
            "until": None if until is None else valid_time(until, "until"),
        }
        given = {name: value for name, value in filters.items() if value is not None}
        if text is None and ranking is None and space is not None and array is not None:
            query = VectorQuery(SOURCE, space, array, valid_limit(limit), given, mode)
            rows, exact = await search_on(self.session.dialect_name).nearest(self.session, query)
        else:
            question = MemoryQuery(
                words=[] if text is None else asked_words(text),
                space=None if array is None else space,
                vector=array,
                ranking=ranking or RecallRanking(),
                now=utc_now() if now is None else valid_time(now, "now"),
                limit=valid_limit(limit),
                filters=given,
                mode=mode,
            )
            rows, exact = await search_on(self.session.dialect_name).memories(self.session, question)
        hits = tuple(RecalledMemory.of(row) for row in rows)
        if touch:
            await self.touch(hit.id for hit in hits)
        return SearchResult(hits, exact)

    async def touch(self, ids: Iterable[UUID]) -> int:
        """Count these, at most 1000, as used now: one UPDATE; `updated_at` does not move. Returns how many there were.

        Rows are locked in the order of their ids, so that two that touch the same ones do not wait for each other.
        """
        keys = [valid_id(id, "ids") for id in ids]
        if not keys:
            return 0
        valid_limit(len(keys), "ids")
        chosen = sa.select(MEMORIES.c.id).where(MEMORIES.c.id.in_(keys), *self._writable()).order_by(MEMORIES.c.id)
        connection = await self.session.core()
        result = await connection.execute(
            sa.update(MEMORIES)
            .where(MEMORIES.c.id.in_(chosen.with_for_update(key_share=True)))
            .values(
                access_count=MEMORIES.c.access_count + 1, last_accessed_at=utc_now(), updated_at=MEMORIES.c.updated_at
            )
        )
        return result.rowcount

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
            conditions.append(MEMORIES.c.importance <= _as_column("importance", max_importance, "max_importance"))
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


def _as_column(column: str, value: object, name: str) -> Any:
    """A filter's value as its column takes it; refused by the filter's own name."""
    if value is None:
        return None
    try:
        return valid_changes(Memory, {column: value})[column]
    except InvalidInputError as error:
        raise InvalidInputError(name, error.reason) from None
