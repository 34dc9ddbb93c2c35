"""What turns texts into vectors: a model of the application's choice, behind three lines."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from sqlmodel import col, select

from database import Session
from database.errors import InvalidInputError
from models import EmbeddingSpace
from models.values import VectorLike
from repositories.base import BATCH
from repositories.validation import valid_vector
from repositories.vectors import space_or_active

Vectors: TypeAlias = Sequence[VectorLike] | NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """Texts in, one vector of `dimensions` numbers for each out. `name` says which model, its version included."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    async def embed(self, texts: Sequence[str]) -> Vectors: ...


async def embed_in(space: EmbeddingSpace, embedder: Embedder, texts: Sequence[str]) -> list[NDArray[np.float32]]:
    """A valid vector of the space for each text, by one call for each 500; no statement.

    Raises InvalidInputError("space") for another width than the embedder's, before it is called, and
    InvalidInputError("embedder") for vectors that are no good.
    """
    _check_width(space, embedder)
    return _valid(await _call(embedder, texts), space)


async def embed_texts(
    session: Session, embedder: Embedder, texts: Sequence[str], space: EmbeddingSpace | None
) -> tuple[list[NDArray[np.float32] | None], EmbeddingSpace]:
    """A vector for each text, none for an empty one, and their space: the one given, or that of the embedder's name.

    The embedder is called before any statement, so that a unit that has just begun locks no row meanwhile.
    """
    if not isinstance(embedder, Embedder):
        raise InvalidInputError("embedder", "is not an Embedder")
    if space is not None:
        _check_width(await space_or_active(session, space), embedder)
    rows = await _call(embedder, [text for text in texts if text])
    if space is None:
        space = await space_of(session, embedder)
    vectors = iter(_valid(rows, space))
    return [next(vectors) if text else None for text in texts], space


def refuse_both(vector: object) -> None:
    """Beside an embedder no vector is given: nobody could tell which one is meant."""
    if vector is not None:
        raise InvalidInputError("embedder", "is given, and a vector too")


async def space_of(session: Session, embedder: Embedder) -> EmbeddingSpace:
    """The space of the embedder's name; raises InvalidInputError("space") where there is none, or of another width."""
    await session.core()
    statement = select(EmbeddingSpace).where(col(EmbeddingSpace.name) == embedder.name)
    space = (await session.exec(statement.execution_options(populate_existing=True))).one_or_none()
    if space is None:
        raise InvalidInputError("space", "none has the embedder's name: create it with its dimensions, or give one")
    _check_width(space, embedder)
    return space


async def _call(embedder: Embedder, texts: Sequence[str]) -> list[VectorLike]:
    rows: list[VectorLike] = []
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        given = await embedder.embed(batch)
        if len(given) != len(batch):
            raise InvalidInputError("embedder", f"gave {len(given)} vectors for {len(batch)} texts")
        rows.extend(given)
    return rows


def _valid(rows: Sequence[VectorLike], space: EmbeddingSpace) -> list[NDArray[np.float32]]:
    return [valid_vector(row, space, "embedder") for row in rows]


def _check_width(space: EmbeddingSpace, embedder: Embedder) -> None:
    if space.dimensions != embedder.dimensions:
        raise InvalidInputError("space", f"has {space.dimensions} dimensions, the embedder has {embedder.dimensions}")
