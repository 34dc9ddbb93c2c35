"""The plain store of text and vectors by source: put in bulk, searched by vector and metadata, deleted by source."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any, Self
from uuid import UUID

import sqlalchemy as sa

from database.errors import InvalidInputError
from models import Embedding, EmbeddingSpace, new_id
from models.values import JsonObject, VectorLike, check_json
from repositories.base import BATCH, Repository
from repositories.ownership import table_of
from repositories.pagination import Page
from repositories.search import EMBEDDINGS as SOURCE
from repositories.search import Mode, SearchResult, VectorQuery, search_on
from repositories.upsert import insert_into
from repositories.validation import valid_changes, valid_limit, valid_vector
from repositories.vectors import space_or_active

EMBEDDINGS = table_of(Embedding)

UNIQUE: list[Any] = [
    EMBEDDINGS.c.source_type,
    EMBEDDINGS.c.source_id,
    EMBEDDINGS.c.chunk,
    EMBEDDINGS.c.embedding_space_id,
    sa.text("coalesce(owner_id, '')"),
]
"""The expressions of the unique index, word for word."""


@dataclass(frozen=True, slots=True)
class FoundEmbedding:
    """A text that was searched for, without its vector. `score`: higher is better."""

    id: UUID
    owner_id: str | None
    source_type: str
    source_id: str
    chunk: int
    content: str
    extra_data: JsonObject
    created_at: datetime
    updated_at: datetime
    score: float

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        return cls(**{field: row[field] for field in cls.__dataclass_fields__})

    def __repr__(self) -> str:
        return f"FoundEmbedding(id={self.id!r}, score={self.score!r})"


class EmbeddingRepository(Repository[Embedding]):
    """A chunk is named by its owner, source, number and space. Its vector changes with its text: by `put_many`."""

    model = Embedding
    fixed = frozenset({"source_type", "source_id", "chunk", "content", "embedding_space_id", "embedding"})

    async def create(
        self,
        *,
        source_type: str,
        source_id: str,
        content: str,
        vector: VectorLike,
        space: EmbeddingSpace | None = None,
        chunk: int = 0,
        owner_id: str | None = None,
        extra_data: Mapping[str, object] | None = None,
        id: UUID | None = None,
    ) -> Embedding:
        """Without `space` the vector is of the active one, read by one statement more.

        Raises DuplicateError for a chunk that is there, DimensionError, InvalidInputError("space").
        """
        space = await space_or_active(self.session, space)
        return await self._create(
            id=id or new_id(),
            owner_id=owner_id,
            source_type=source_type,
            source_id=source_id,
            chunk=chunk,
            content=content,
            embedding_space_id=space.id,
            embedding=valid_vector(vector, space).tolist(),
            extra_data=extra_data or {},
        )

    async def create_many(
        self, rows: Iterable[Mapping[str, object]], *, space: EmbeddingSpace | None = None
    ) -> Sequence[UUID]:
        """The bulk path: mappings with the arguments of `create`, all of one space; returns the ids in order.

        A statement for each 500, on PostgreSQL a COPY. Memory stays flat but for the ids. Raises DuplicateError for a
        chunk that is there.
        """
        return await super().create_many(_with_vectors(rows, await space_or_active(self.session, space)))

    async def put_many(self, rows: Iterable[Mapping[str, object]], *, space: EmbeddingSpace | None = None) -> int:
        """As `create_many`; a chunk that is there gets the new text, vector and data, and keeps its id.

        Returns how many rows came. Chunks that a source no longer has stay: `delete_by_source` first where it shrank.
        """
        waiting = _with_vectors(rows, await space_or_active(self.session, space))
        connection = await self.session.core()
        statement = _upsert(connection.dialect.name)
        written = 0
        while batch := self._valid_many(list(islice(waiting, BATCH))):
            await self._require(batch)
            await connection.execute(statement, batch)
            written += len(batch)
        return written

    async def search(
        self,
        vector: VectorLike,
        *,
        space: EmbeddingSpace | None = None,
        source_type: str | None = None,
        source_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
        limit: int = 10,
        mode: Mode = "auto",
    ) -> SearchResult[FoundEmbedding]:
        """The texts nearest to a vector of a space, the best first, ties by id; 1 to 1000 of them.

        `metadata`: `extra_data` holds these keys with these values; objects are compared key by key, lists as sets.
        A filter or an owner makes the search exact, as in `memories.recall`.
        """
        space = await space_or_active(self.session, space)
        filters = {
            "owner_id": self.session.owner_id,
            **valid_changes(Embedding, _given(source_type=source_type, source_id=source_id)),
            "metadata": None if metadata is None else _valid_metadata(metadata),
        }
        query = VectorQuery(SOURCE, space, valid_vector(vector, space), valid_limit(limit), _given(**filters), mode)
        rows, exact = await search_on(self.session.dialect_name).nearest(self.session, query)
        return SearchResult(tuple(FoundEmbedding.of(row) for row in rows), exact)

    async def delete_by_source(self, source_type: str, source_id: str) -> int:
        """Every chunk of a source, in every space; one statement. Returns how many there were."""
        source = valid_changes(Embedding, {"source_type": source_type, "source_id": source_id})
        return await self._delete(*(EMBEDDINGS.c[name] == value for name, value in source.items()))

    async def page(
        self,
        *,
        source_type: str | None = None,
        source_id: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Embedding]:
        """The newest first."""
        conditions = self._matching(source_type=source_type, source_id=source_id)
        return await self._page(("id",), *conditions, after=after, limit=limit)

    async def count(self, *, source_type: str | None = None, source_id: str | None = None) -> int:
        return await self._count(*self._matching(source_type=source_type, source_id=source_id))


def _given(**filters: object) -> dict[str, object]:
    return {name: value for name, value in filters.items() if value is not None}


def _valid_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(metadata, Mapping):
        raise InvalidInputError("metadata", "is not a JSON object")
    try:
        check_json(metadata)
    except ValueError as error:
        raise InvalidInputError("metadata", str(error)) from None
    return dict(metadata)


def _with_vectors(rows: Iterable[Mapping[str, object]], space: EmbeddingSpace) -> Iterator[dict[str, object]]:
    for row in rows:
        values: dict[str, Any] = dict(row)
        if "vector" not in values:
            raise InvalidInputError("vector", "is missing")
        yield values | {
            "embedding_space_id": space.id,
            "embedding": valid_vector(values.pop("vector"), space),
        }


@cache
def _upsert(dialect_name: str) -> sa.Executable:
    insert = insert_into(dialect_name, EMBEDDINGS)
    changes = {name: insert.excluded[name] for name in ("content", "embedding", "extra_data", "updated_at")}
    return insert.on_conflict_do_update(index_elements=UNIQUE, set_=changes)
