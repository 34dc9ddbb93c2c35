"""A second space is filled beside the first: texts get vectors of another model while both spaces are searched."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import RowMapping

from database import Database, Session
from database.errors import InvalidInputError
from models import Embedding, EmbeddingSpace, MemoryEmbedding, MessageEmbedding, new_id, utc_now
from repositories.base import BATCH, Condition
from repositories.embedder import Embedder, embed_in
from repositories.embedding import UNIQUE
from repositories.ownership import PARENTS, table_of
from repositories.upsert import insert_into
from repositories.vectors import Kind

EMBEDDINGS = table_of(Embedding)

Progress = Callable[[str, int, int], None]
"""Hears a table, how many of its texts have got their vector, and of how many."""


@dataclass(frozen=True, slots=True)
class Reembedded:
    """The vectors that were written."""

    messages: int
    memories: int
    embeddings: int


async def reembed(
    database: Database,
    embedder: Embedder,
    target: EmbeddingSpace,
    *,
    source: EmbeddingSpace | None = None,
    progress: Progress | None = None,
) -> Reembedded:
    """Give each text that has a vector in `source` one in `target`, where it has none; outside of any unit.

    Without `source` each message and memory gets one, and the plain store is left alone: its texts are of a space.
    Empty texts get none. 500 at a time, each time in a transaction that begins when the embedder is done: after a stop,
    call it again. It ends when nothing is left, also of what came meanwhile. A text that is changed while it is
    embedded waits for its next turn, and a vector that is there is never replaced.
    """
    if source is not None and source.id == target.id:
        raise InvalidInputError("source", "is the target itself")
    fill = partial(_fill, database, embedder, target, progress or _nobody)
    return Reembedded(
        messages=await fill(_beside(MessageEmbedding, target, source)),
        memories=await fill(_beside(MemoryEmbedding, target, source)),
        embeddings=0 if source is None else await fill(_chunks(target, source)),
    )


def _nobody(table: str, written: int, total: int) -> None:
    """Nobody wants to hear of the progress."""


@dataclass(frozen=True, slots=True)
class _Texts:
    """One table of texts: which of them lack a vector of the target, and where that vector goes."""

    table: sa.Table
    lacking: Sequence[Condition]
    vectors: sa.Table
    unique: Sequence[Any]
    named: Mapping[str, str]
    """The columns beside the vector, and the columns of the text that they come from."""

    async def count(self, session: Session) -> int:
        statement = sa.select(sa.func.count()).select_from(self.table).where(*self.lacking)
        return int((await (await session.core()).execute(statement)).scalar_one())

    async def batch(self, session: Session, after: UUID | None = None) -> Sequence[RowMapping]:
        """The next 500 by their ids; one statement."""
        row = self.table.c
        statement = sa.select(row.id, row.content, row.updated_at).where(*self.lacking)
        if after is not None:
            statement = statement.where(row.id > after)
        connection = await session.core()
        return (await connection.execute(statement.order_by(row.id).limit(BATCH))).mappings().all()

    async def store(
        self,
        session: Session,
        target: EmbeddingSpace,
        texts: Sequence[RowMapping],
        vectors: Sequence[NDArray[np.float32]],
    ) -> int:
        """Two statements: those of the texts that are still as they were read are locked, and get their vectors."""
        read = {text["id"]: (text["updated_at"], vector) for text, vector in zip(texts, vectors, strict=True)}
        connection = await session.core()
        columns = [self.table.c[name] for name in sorted({"id", "updated_at", *self.named.values()})]
        statement = sa.select(*columns).where(self.table.c.id.in_(list(read)), *self.lacking)
        found = await connection.execute(statement.order_by(self.table.c.id).with_for_update(read=True))
        now = utc_now()
        rows = [
            {"embedding_space_id": target.id, "embedding": vector, "created_at": now, "updated_at": now}
            | ({"id": new_id()} if self.vectors is self.table else {})
            | {name: text[theirs] for name, theirs in self.named.items()}
            for text in found.mappings()
            for updated_at, vector in [read[text["id"]]]
            if text["updated_at"] == updated_at
        ]
        if rows:
            # Somebody else may have been quicker.
            insert = insert_into(connection.dialect.name, self.vectors)
            await connection.execute(insert.on_conflict_do_nothing(index_elements=self.unique), rows)
        return len(rows)


def _beside(kind: Kind, target: EmbeddingSpace, source: EmbeddingSpace | None) -> _Texts:
    """Messages or memories, whose vectors are in a table of their own."""
    key, parent = PARENTS[kind]
    texts, vectors = table_of(parent), table_of(kind)

    def has(space: EmbeddingSpace) -> sa.Exists:
        vector = vectors.alias()
        return sa.exists().where(vector.c[key] == texts.c.id, vector.c.embedding_space_id == space.id)

    lacking = [texts.c.content != "", ~has(target), *([] if source is None else [has(source)])]
    return _Texts(texts, lacking, vectors, [key, "embedding_space_id"], {key: "id"})


def _chunks(target: EmbeddingSpace, source: EmbeddingSpace) -> _Texts:
    """The plain store, where a text has a row of its own in each space."""
    row, other = EMBEDDINGS.c, EMBEDDINGS.alias().c
    there = sa.exists().where(
        *(other[name] == row[name] for name in ("source_type", "source_id", "chunk")),
        sa.func.coalesce(other.owner_id, "") == sa.func.coalesce(row.owner_id, ""),
        other.embedding_space_id == target.id,
    )
    lacking = [row.content != "", row.embedding_space_id == source.id, ~there]
    copied = ("owner_id", "source_type", "source_id", "chunk", "content", "extra_data")
    return _Texts(EMBEDDINGS, lacking, EMBEDDINGS, UNIQUE, {name: name for name in copied})


async def _fill(
    database: Database, embedder: Embedder, target: EmbeddingSpace, progress: Progress, texts: _Texts
) -> int:
    """From the beginning, until a whole turn has nothing to write: texts come and change meanwhile."""
    async with database.transaction() as session:
        total = await texts.count(session)
    written, more = 0, total > 0
    while more:
        more = False
        async with database.transaction() as session:
            batch = await texts.batch(session)
        while batch:
            vectors = await embed_in(target, embedder, [text["content"] for text in batch])
            async with database.transaction() as session:
                stored = await texts.store(session, target, batch, vectors)
                batch = await texts.batch(session, batch[-1]["id"])
            written += stored
            more = more or stored > 0
            progress(texts.table.name, written, max(total, written))
    return written
