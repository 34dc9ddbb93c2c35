"""Signatures and codes of vectors, held in memory: which of many rows are worth to be read and compared exactly.

A signature is one bit a dimension and tells which vectors are near at all; a code is one byte a dimension and tells
their cosine to a known error, so that few vectors have to be read to know the nearest for certain.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from database.sqlite_vectors import BLOCK, matrix_of

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Bits = np.ndarray[Any, np.dtype[np.uint64]]
Vector = np.ndarray[Any, np.dtype[np.float32]]
Vectors = np.ndarray[Any, np.dtype[np.float32]]
Counts = np.ndarray[Any, np.dtype[np.uint16]]
Ids = np.ndarray[Any, np.dtype[np.bytes_]]
Keys = np.ndarray[Any, np.dtype[np.uint64]]

KEYS = {"memory_embeddings": "memory_id", "message_embeddings": "message_id", "embeddings": "id"}
"""The row's id in each table of vectors."""

STRIP, STEP = 32_768, 512
"""Signatures and codes that are compared at once, so that what is between stays in the processor's cache."""

MOST_ASKED, LARGEST_ASKED = 128, 2**16
"""Scopes whose places are kept, and bytes of the ids of one: of 2,000 rows. 10 MB in all."""

BESIDES = 64
"""Bytes of a vector's id, key, place, number, scale and error."""

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
    dimensions: int


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
            vectors = matrix_of([row[2] for row in rows])
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
        # One of an empty space knows of no dimensions.
        parts = [part for part in parts if part.numbers.size] or parts[:1]
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

    @classmethod
    def absent(cls, numbers: Numbers, ids: Ids, centre: Vector) -> "Signatures":
        """Of rows that have no vector: nothing of them can be near."""
        size, floats = centre.size, np.zeros(ids.size, np.float32)
        bits, codes = np.zeros((-(-size // 64), ids.size), np.uint64), np.zeros((ids.size, size), np.int8)
        return cls(centre, numbers, ids, bits, codes, floats, np.full(ids.size, -np.inf, np.float32))

    @staticmethod
    def bytes_of(vectors: int, dimensions: int) -> int:
        return vectors * (-(-dimensions // 64) * 8 + dimensions + BESIDES)

    @property
    def nbytes(self) -> int:
        return self.bytes_of(self.numbers.size, self.centre.size)

    def upto(self, number: int) -> "Signatures":
        count = int(np.searchsorted(self.numbers, number, side="right"))
        return self if count == self.numbers.size else self.some(slice(count))

    def some(self, which: slice | Bools) -> "Signatures":
        return Signatures(
            self.centre,
            self.numbers[which],
            self.ids[which],
            self.bits[:, which],
            self.codes[which],
            self.scales[which],
            self.errors[which],
        )

    @cached_property
    def by_key(self) -> tuple[int, Keys, Numbers]:
        """Keys in order, each with its id's place; of an id's several places the last is the last, and counts.

        By the first seed that gives no two ids one key.
        """
        seed = 0
        while True:
            keys = keys_of(self.ids, seed)
            places = np.argsort(keys, kind="stable")
            known = keys[places]
            again = np.flatnonzero(known[1:] == known[:-1])
            if (self.ids[places[again]] == self.ids[places[again + 1]]).all():
                return seed, known, places
            seed += 1

    @cached_property
    def _asked(self) -> dict[bytes, Numbers]:
        return {}

    def places_of(self, ids: Ids) -> Numbers:
        """Where each is, -1 where it is not here. Kept for the ids that were asked for last: a scope stays as it is."""
        if not self.numbers.size:
            return np.full(ids.size, -1)
        asked = ids.tobytes()
        where = self._asked.get(asked)
        if where is None:
            seed, known, places = self.by_key
            found = places[np.maximum(np.searchsorted(known, keys_of(ids, seed), side="right") - 1, 0)]
            where = np.where(self.ids[found] == ids, found, -1)
            if len(self._asked) >= MOST_ASKED:
                self._asked.clear()
            if len(asked) <= LARGEST_ASKED:
                self._asked[asked] = where
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

    def at_most(self, query: Vector, places: Numbers | None) -> Vector:
        """The cosines that they have at most with a question of length one; without `places` those of all."""
        number = self.numbers.size if places is None else places.size
        cosines: Vector = np.empty(number, np.float32)
        size = min(STEP, number), query.size
        chosen, singles = np.empty(size, np.int8), np.empty(size, np.float32)
        for start in range(0, number, STEP):
            some = slice(start, start + STEP)
            if places is None:
                codes = self.codes[some]
            else:
                # Clipped, which no place is: else it would write into a copy first.
                codes = np.take(self.codes, places[some], axis=0, out=chosen[: number - start], mode="clip")
            np.copyto(singles[: len(codes)], codes)
            np.matmul(singles[: len(codes)], query, out=cosines[some])
        if places is None:
            return cosines * self.scales + self.errors
        return cosines * self.scales[places] + self.errors[places]


def packed(above: Bools) -> Bits:
    """Rows of booleans as columns of 64-bit words."""
    bits = np.packbits(above, axis=1)
    padded = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.ascontiguousarray(padded.view(np.uint64).T)


def keys_of(ids: Ids, seed: int) -> Keys:
    """A number for each id, found five times as quickly as its text."""
    keys: Keys = np.zeros(ids.size, np.uint64)
    odd = np.uint64((0x9E3779B97F4A7C15 * (2 * seed + 1)) % 2**64)
    for word in np.ascontiguousarray(ids).view(np.uint64).reshape(-1, 4).T:
        keys = (keys ^ word) * odd
        keys ^= keys >> np.uint64(32)
    return keys


def places_in(ordered: Numbers | Keys, sought: Numbers | Keys) -> tuple[Numbers, Bools]:
    """Where each is, and whether it is there; a place of what is not there means nothing."""
    if not ordered.size:
        return np.zeros(sought.size, np.int64), np.zeros(sought.size, np.bool_)
    places = np.minimum(np.searchsorted(ordered, sought), ordered.size - 1)
    return places, ordered[places] == sought
