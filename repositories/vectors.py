"""Vectors beside their texts: one upsert for memories and messages, and the space that a vector is of."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from database import Session
from database.bulk import BulkInsert
from database.errors import InvalidInputError, NotFoundError
from database.prepared import Statement
from models import EmbeddingSpace, MemoryEmbedding, MessageEmbedding, SpaceStatus, utc_now
from models.values import VectorLike
from repositories.base import BATCH
from repositories.ownership import PARENTS, table_of, writable
from repositories.upsert import insert_into
from repositories.validation import valid_id, valid_vector

Kind = type[MemoryEmbedding] | type[MessageEmbedding]

Pairs = Sequence[tuple[UUID, NDArray[np.float32]]]


async def active_space(session: Session) -> EmbeddingSpace | None:
    """The space that is used where none is named; at most one is active. Nothing of it is for changing."""
    found = await session.read(_active(), {})
    return EmbeddingSpace(**dict(zip(SPACE_COLUMNS, found[0], strict=True))) if found else None


SPACE_COLUMNS = [column.name for column in table_of(EmbeddingSpace).columns]


@cache
def _active() -> sa.Select[Any]:
    spaces = table_of(EmbeddingSpace)
    return sa.select(*spaces.columns).where(spaces.c.status == SpaceStatus.ACTIVE)


async def space_or_active(session: Session, space: EmbeddingSpace | None) -> EmbeddingSpace:
    """`space`, or the active one by one statement; raises InvalidInputError("space") where there is none."""
    if space is None:
        space = await active_space(session)
    if space is None:
        raise InvalidInputError("space", "is not given, and none is active")
    return valid_space(space)


def valid_space(space: EmbeddingSpace) -> EmbeddingSpace:
    if not isinstance(space, EmbeddingSpace):
        raise InvalidInputError("space", "is not an EmbeddingSpace")
    return space


async def valid_vectors(
    session: Session, vectors: Sequence[VectorLike | None], space: EmbeddingSpace | None
) -> tuple[list[NDArray[np.float32] | None], EmbeddingSpace | None]:
    """The vectors that are there, as their space takes them; without `space` that is the active one."""
    if space is not None or any(vector is not None for vector in vectors):
        space = await space_or_active(session, space)
    return [None if vector is None or space is None else valid_vector(vector, space) for vector in vectors], space


async def put_vector(
    session: Session, kind: Kind, id: UUID, vector: VectorLike, space: EmbeddingSpace | None = None
) -> None:
    """Give one text its vector in a space, or another one than before: one upsert.

    One statement more where no space is named. Raises NotFoundError where this owner has no such text, DimensionError,
    InvalidInputError("vector"), and InvalidInputError("space") where none is named and none active.
    """
    key = valid_id(id)
    space = await space_or_active(session, space)
    array = valid_vector(vector, space)
    column, parent = PARENTS[kind]
    texts, table = table_of(parent), table_of(kind)
    now = utc_now()
    given = {table.c.embedding: array, **{table.c[name]: now for name in ("created_at", "updated_at")}}
    connection = await session.core()
    insert = insert_into(connection.dialect.name, table).from_select(
        [column, "embedding_space_id", *given],
        sa.select(
            texts.c.id,
            sa.bindparam(None, space.id, type_=sa.Uuid()),
            *(sa.bindparam(None, value, type_=target.type) for target, value in given.items()),
        ).where(texts.c.id == key, *writable(parent, session.owner_id)),
        False,
    )
    changes = {name: insert.excluded[name] for name in ("embedding", "updated_at")}
    statement = insert.on_conflict_do_update(index_elements=[column, "embedding_space_id"], set_=changes)
    if not (await connection.execute(statement)).rowcount:
        raise NotFoundError(parent.__name__, id)


async def put_vectors(
    session: Session, kind: Kind, vectors: Iterable[tuple[UUID, VectorLike]], space: EmbeddingSpace | None = None
) -> int:
    """The bulk path of `put_vector`: (id, vector) pairs, two statements for each 500; returns how many.

    Memory stays flat, for an iterator too. Raises as `put_vector` does; NotFoundError for the first id that is not
    there, before anything of its 500 is written.
    """
    space = await space_or_active(session, space)
    waiting = iter(vectors)
    written = 0
    while batch := [(valid_id(id), valid_vector(vector, space)) for id, vector in islice(waiting, BATCH)]:
        await _require_texts(session, kind, [id for id, _ in batch])
        await store_vectors(session, kind, batch, space)
        written += len(batch)
    return written


async def store_vectors(session: Session, kind: Kind, batch: Pairs, space: EmbeddingSpace) -> None:
    """One upsert for valid vectors of texts that are known to be this owner's."""
    key, now = PARENTS[kind][0], utc_now()
    statement = _upsert(session.dialect_name, kind)
    rows = [_row(key, id, vector, space, now) for id, vector in batch]
    if len(rows) == 1:
        await session.fetch(statement, rows[0])
    else:
        await (await session.core()).execute(statement, rows)


async def store_new_vectors(session: Session, kind: Kind, batch: Pairs, space: EmbeddingSpace) -> None:
    """Valid vectors of texts that were made just now, and so have none yet: one INSERT, or COPY."""
    key, now = PARENTS[kind][0], utc_now()
    async with BulkInsert(await session.core(), table_of(kind)) as bulk:
        await bulk.put([_row(key, id, vector, space, now) for id, vector in batch])


def _row(key: str, id: UUID, vector: NDArray[np.float32], space: EmbeddingSpace, now: datetime) -> dict[str, object]:
    return {key: id, "embedding_space_id": space.id, "embedding": vector, "created_at": now, "updated_at": now}


@cache
def _upsert(dialect_name: str, kind: Kind) -> Statement:
    insert = insert_into(dialect_name, table_of(kind))
    changes = {name: insert.excluded[name] for name in ("embedding", "updated_at")}
    return insert.on_conflict_do_update(index_elements=[PARENTS[kind][0], "embedding_space_id"], set_=changes)


async def _require_texts(session: Session, kind: Kind, ids: Sequence[UUID]) -> None:
    parent = PARENTS[kind][1]
    key = table_of(parent).c.id
    connection = await session.core()
    found = set(
        (await connection.execute(sa.select(key).where(key.in_(ids), *writable(parent, session.owner_id)))).scalars()
    )
    for id in ids:
        if id not in found:
            raise NotFoundError(parent.__name__, id)
