"""A vector is float32 of any width, kept bit by bit; what has no direction or no place is refused."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sqlmodel import select

from database import Session
from database.errors import InvalidInputError
from models import (
    MemoryEmbedding,
)
from models.values import vector_array
from tests.factories import (
    EmbeddingSpaceFactory,
    MemoryEmbeddingFactory,
    MemoryFactory,
)
from tests.models.catalogue import insert, raw, reread
from tests.support import on_postgresql, on_sqlite

VECTORS = [[1.0, 0.0, 0.0], [0.1, -0.2, 0.3], [65_504.0, 1e-38, -1.0], [6e-8]]


@pytest.mark.parametrize("vector", VECTORS)
async def test_a_vector_is_kept_as_float32(session: Session, vector: list[float]) -> None:
    space = await EmbeddingSpaceFactory.create(dimensions=len(vector))
    row = await MemoryEmbeddingFactory.create(embedding=vector, embedding_space_id=space.id)
    stored = await reread(session, row)
    assert stored.embedding == row.embedding == np.asarray(vector, dtype=np.float32).tolist()
    assert isinstance(stored.embedding, list)
    assert isinstance(stored.embedding[0], float)


@pytest.mark.parametrize("dimensions", [1, 384, 1_536, 16_000])
async def test_a_vector_has_any_width(session: Session, dimensions: int) -> None:
    vector = np.random.default_rng(7).standard_normal(dimensions).astype(np.float32)
    stored = await reread(session, await MemoryEmbeddingFactory.create(embedding=vector.tolist()))
    assert stored.embedding == vector.tolist()


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int64])
async def test_an_array_is_a_vector_too(session: Session, kind: type[np.number[Any]]) -> None:
    row = MemoryEmbeddingFactory.build()
    memory, space = await MemoryFactory.create(), await EmbeddingSpaceFactory.create()
    array = np.array([1, 2, 3], dtype=kind)
    await insert(session, row, embedding=array, memory_id=memory.id, embedding_space_id=space.id)
    assert (await session.exec(select(MemoryEmbedding.embedding))).one() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "vector",
    [
        [],
        [0.0, 0.0],
        [1e-50],
        [1.0, math.nan],
        [math.inf],
        [1e39],
        [65_536.0],
        [1e-8],
        [[1.0], [2.0]],
        ["one"],
        "1,2,3",
        7.0,
        [1.0] * 16_001,
        [[1.0], [2.0, 3.0]],
    ],
    ids=lambda vector: repr(vector)[:20],
)
async def test_what_is_no_vector_is_refused(session: Session, vector: object) -> None:
    row = await MemoryEmbeddingFactory.create()
    with pytest.raises(InvalidInputError):
        await insert(session, row, embedding=vector)
    with pytest.raises(ValidationError):
        row.embedding = vector  # type: ignore[assignment]  # the wrong kind on purpose
    with pytest.raises(ValidationError):
        MemoryEmbeddingFactory.build(embedding=vector)


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        ([0.0, 0.0], "must not be zero"),
        ([math.nan], "must not contain NaN or infinity"),
        ([math.inf], "must not contain NaN or infinity"),
        ([65_536.0], "out of the range of half precision"),
        ([], "must have 1 to 16000 dimensions"),
        (["one"], "must be a flat sequence of numbers"),
    ],
)
def test_a_refused_vector_is_told_why(vector: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        vector_array(vector)


@on_sqlite
async def test_a_vector_is_little_endian_bytes_on_sqlite(session: Session) -> None:
    await MemoryEmbeddingFactory.create(embedding=[1.0, -2.5, 0.1])
    assert await raw(session, "SELECT embedding FROM memory_embeddings") == struct.pack("<3f", 1.0, -2.5, 0.1)


@on_postgresql
async def test_a_vector_is_pgvectors_on_postgresql(session: Session) -> None:
    await MemoryEmbeddingFactory.create(embedding=[1.0, -2.5, 0.1])
    assert await raw(session, "SELECT CAST(embedding AS TEXT) FROM memory_embeddings") == "[1,-2.5,0.1]"
