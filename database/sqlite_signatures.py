"""Signatures and codes of vectors, held in memory: which of many rows are worth to be read and compared exactly.

A signature is one bit a dimension and tells which vectors are near at all; a code is one byte a dimension and tells
their cosine to a known error, so that few vectors have to be read to know the nearest for certain.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Bits = np.ndarray[Any, np.dtype[np.uint64]]
Vector = np.ndarray[Any, np.dtype[np.float32]]
Vectors = np.ndarray[Any, np.dtype[np.float32]]
Counts = np.ndarray[Any, np.dtype[np.uint16]]
Ids = np.ndarray[Any, np.dtype[np.bytes_]]

KEYS = {"memory_embeddings": "memory_id", "message_embeddings": "message_id", "embeddings": "id"}
"""The row's id in each table of vectors."""

MARGIN = 2
"""How many more bits may differ than of the last one looked for, in roots of the dimensions: bits differ by chance, and
the standard deviation of a sum of so many is half a root."""

POOL_BITS = 2_400_000
"""Of the signatures whose codes are looked at: 6,250 vectors of 384 dimensions, 1,560 of 1,536."""

FAR, FAR_POOL = 0.36, 8
"""Where even the nearest differ in more than this part of the bits (a cosine of about .4; half differ by chance), bits
tell little, and so many times as many codes are looked at: 50,000 of 384 dimensions."""

BLOCK = 1_024
"""Vectors that are read at once."""

STRIP, STEP = 32_768, 256
"""Signatures and codes that are compared at once, so that what is between stays in the processor's cache."""

ROUNDING = float(np.finfo(np.float32).eps)

VECTORS = """
SELECT n.number, n.row_id, v.embedding
FROM {table}_search AS n CROSS JOIN {table} AS v
WHERE n.number > ? AND n.embedding_space_id = ? AND v.{key} = n.row_id AND v.embedding_space_id = ?
ORDER BY n.number
"""


@dataclass(frozen=True, slots=True)
class Space:
    """The vectors of one table in one space. `id` as SQLite keeps it."""

    table: str
    id: str


@dataclass(frozen=True, eq=False)
class Signatures:
    """Of some vectors in the order of their numbers. Bits are columns of words: is it above the centre in a dimension?

    A vector of length one is `scales * codes`, but for a rest that is `errors` long.
    """

    centre: Vector
    numbers: Numbers
    ids: Ids
    bits: Bits
    codes: np.ndarray[Any, np.dtype[np.int8]]
    scales: Vector
    errors: Vector

    @classmethod
    def read(cls, connection: sqlite3.Connection, space: Space, after: int, centre: Vector | None) -> "Signatures":
        """Of the vectors with higher numbers; without a centre, it is that of the first thousand."""
        cursor = connection.execute(
            VECTORS.format(table=space.table, key=KEYS[space.table]), (after, space.id, space.id)
        )
        blocks = []
        while rows := cursor.fetchmany(BLOCK):
            vectors = np.frombuffer(b"".join(row[2] for row in rows), dtype="<f4").reshape(len(rows), -1)
            numbers = np.array([row[0] for row in rows], dtype=np.int64)
            ids = np.array([row[1] for row in rows], dtype="S32")
            blocks.append(cls.of(numbers, ids, vectors, centre))
            centre = blocks[0].centre
        return cls.joined(blocks) if blocks else cls.none(centre)

    @classmethod
    def of(cls, numbers: Numbers, ids: Ids, vectors: Vectors, centre: Vector | None = None) -> "Signatures":
        """Of vectors, a row each, of any length; without a centre, it is theirs."""
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        if centre is None:
            centre = vectors.mean(axis=0)
        scales = np.abs(vectors).max(axis=1) / np.float32(127)
        codes = np.rint(vectors / scales[:, None]).astype(np.int8)
        # Rounding: a sum rounds once for each dimension, here and where the codes are multiplied.
        errors = np.linalg.norm(vectors - codes * scales[:, None], axis=1) + 2 * ROUNDING * (centre.size + 4)
        return cls(centre, numbers, ids, packed(vectors >= centre), codes, scales, errors.astype(np.float32))

    @classmethod
    def none(cls, centre: Vector | None) -> "Signatures":
        size = 0 if centre is None else centre.size
        floats, numbers = np.zeros(0, np.float32), np.zeros(0, np.int64)
        centre = floats if centre is None else centre
        bits, codes = np.zeros((-(-size // 64), 0), np.uint64), np.zeros((0, size), np.int8)
        return cls(centre, numbers, np.zeros(0, "S32"), bits, codes, floats, floats)

    @classmethod
    def joined(cls, parts: "Sequence[Signatures]") -> "Signatures":
        if len(parts) == 1:
            return parts[0]
        return cls(
            parts[0].centre,
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.bits for part in parts], axis=1),
            np.concatenate([part.codes for part in parts]),
            np.concatenate([part.scales for part in parts]),
            np.concatenate([part.errors for part in parts]),
        )

    @property
    def nbytes(self) -> int:
        return self.bits.nbytes + self.codes.nbytes

    def upto(self, number: int) -> "Signatures":
        count = int(np.searchsorted(self.numbers, number, side="right"))
        if count == self.numbers.size:
            return self
        return Signatures(
            self.centre,
            self.numbers[:count],
            self.ids[:count],
            self.bits[:, :count],
            self.codes[:count],
            self.scales[:count],
            self.errors[:count],
        )

    @cached_property
    def by_id(self) -> tuple[Ids, Numbers]:
        """Ids in order, each with its place; of several places the last is the last, and the one that counts."""
        places = np.argsort(self.ids, kind="stable")
        return self.ids[places], places

    def places_of(self, ids: Ids) -> Numbers:
        """Where each is, -1 where it is not here."""
        if not self.numbers.size:
            return np.full(ids.size, -1)
        known, places = self.by_id
        found = np.maximum(np.searchsorted(known, ids, side="right") - 1, 0)
        where: Numbers = np.where(known[found] == ids, places[found], -1)
        return where

    def differing(self, query: Bits, places: Numbers | None) -> Counts:
        """In how many bits each differs from the question's."""
        bits = self.bits if places is None else self.bits[:, places]
        counts: Counts = np.zeros(bits.shape[1], np.uint16)
        different, number = np.empty(STRIP, np.uint64), np.empty(STRIP, np.uint8)
        for start in range(0, counts.size, STRIP):
            some = counts[start : start + STRIP]
            for row, word in zip(bits[:, start : start + STRIP], query, strict=False):
                np.bitwise_xor(row, word, out=different[: some.size])
                np.bitwise_count(different[: some.size], out=number[: some.size])
                some += number[: some.size]
        return counts

    def at_most(self, query: Vector, places: Numbers) -> Vector:
        """The cosines that they have at most with a question of length one."""
        cosines: Vector = np.empty(places.size, np.float32)
        for start in range(0, places.size, STEP):
            some = slice(start, start + STEP)
            cosines[some] = self.codes[places[some]].astype(np.float32) @ query
        return cosines * self.scales[places] + self.errors[places]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Ids of rows, those first that may be the nearest, and the cosine that each has at most."""

    ids: Ids
    bounds: Vector


def candidates(
    parts: Sequence[Signatures],
    query: Vector,
    places: Sequence[Numbers | None],
    sure: int | None = None,
    most: int = 0,
) -> Candidates:
    """The likeliest of the `places` in each part (None: all of it), by `query`, which has length one.

    Those whose signature differs not much more than that of the `sure` nearest by it, and about `most` at the most;
    without `sure` all of them.
    """
    if sure is not None:
        places = _by_signature(parts, query, places, sure, most)
    chosen = [
        np.arange(part.numbers.size) if where is None else where for part, where in zip(parts, places, strict=True)
    ]
    bounds = np.concatenate([part.at_most(query, where) for part, where in zip(parts, chosen, strict=True)])
    ids = np.concatenate([part.ids[where] for part, where in zip(parts, chosen, strict=True)])
    order = np.argsort(-bounds)
    return Candidates(ids[order], bounds[order])


def _by_signature(
    parts: Sequence[Signatures], query: Vector, places: Sequence[Numbers | None], sure: int, most: int
) -> Sequence[Numbers]:
    """How many bits differ is a small number: to count how often each occurs is cheaper than to sort."""
    signature = packed((query >= 0)[None, :])[:, 0]
    counts = [part.differing(signature, where) for part, where in zip(parts, places, strict=True)]
    upto = np.sum([np.bincount(each, minlength=query.size + 1) for each in counts], axis=0).cumsum()
    last = int(np.searchsorted(upto, sure))
    margin = int(MARGIN * sqrt(query.size))
    if last > FAR * query.size:
        margin, most = query.size, FAR_POOL * most
    limit = max(last, min(last + margin, int(np.searchsorted(upto, most, side="right")) - 1))
    found = [np.flatnonzero(each <= limit) for each in counts]
    return [some if where is None else where[some] for some, where in zip(found, places, strict=True)]


def packed(above: np.ndarray[Any, np.dtype[np.bool_]]) -> Bits:
    """Rows of booleans as columns of 64-bit words."""
    bits = np.packbits(above, axis=1)
    padded = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8)))
    return np.ascontiguousarray(padded.view(np.uint64).T)
