"""Signatures of vectors, one bit a dimension, held in memory: which of many rows are worth an exact comparison.

Triggers number every vector, and anew when it changes (the revision "vector search"), so what a number stood for never
changes, and a higher one is news. What is shared by all connections of a process is read from the file by a connection
of its own, and so was committed; what a search sees beyond that, its own unit's writes or a moment's news, it reads by
itself. A row that is gone has lost its number, and is passed over when its vector is looked for.
"""

import json
import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Bits = np.ndarray[Any, np.dtype[np.uint64]]
Vector = np.ndarray[Any, np.dtype[np.float32]]
Counts = np.ndarray[Any, np.dtype[np.uint16]]

KEYS = {"memory_embeddings": "memory_id", "message_embeddings": "message_id", "embeddings": "id"}
"""The row's id in each table of vectors."""

NEWS = 500
"""Changes that each search reads by itself; more of them are read once, for all."""

MOST_BYTES = 512 * 2**20
"""Of all signatures together: 8 million vectors of 384 dimensions. The space that was read longest ago goes first."""

POOL_BITS = 1_536_000
"""Of the signatures that are weighed by the question's numbers: 4,000 vectors of 384 dimensions, 1,000 of 1,536."""

MARGIN = 1.2
"""How far below the last sure one a weight may be, in lengths of the question: two vectors that are equally near differ
in weight by about .4 of it, whatever their width."""

LEAST = 100

BLOCK = 1_024

FILES: WeakValueDictionary[tuple[str, int], "SharedSignatures"] = WeakValueDictionary()
"""By name and inode, as long as a connection is open."""

FILES_LOCK = threading.Lock()

CHANGES = "SELECT changes FROM vector_search"
VECTORS = """
SELECT n.number, v.embedding
FROM {table}_search AS n CROSS JOIN {table} AS v
WHERE n.number > ? AND n.embedding_space_id = ? AND v.{key} = n.row_id AND v.embedding_space_id = ?
ORDER BY n.number
"""


def register(connection: sqlite3.Connection) -> None:
    """likely(table, space, query, count, sure): JSON of the numbers of the vectors that are most likely nearest.

    `count` of them, or fewer where the `sure` nearest are very probably among these.
    """
    shared = _shared_by(connection)

    def seen(table: str, space: str) -> "Signatures":
        return shared.seen_by(connection, Space(table, space))

    def likely(table: str, space: str, query: bytes, count: int, sure: int) -> str:
        return json.dumps(seen(table, space).nearest(np.frombuffer(query, dtype="<f4"), count, sure))

    connection.create_function("likely", 5, likely)
    connection.create_aggregate("likely_of", 6, lambda: LikelyOf(seen))  # type: ignore[arg-type, return-value]  # as for `nearest`


def _shared_by(connection: sqlite3.Connection) -> "SharedSignatures":
    file: str = connection.execute("PRAGMA database_list").fetchone()[2]
    if not file:
        return SharedSignatures(file)
    key = file, Path(file).stat().st_ino
    with FILES_LOCK:
        shared = FILES.get(key)
        if shared is None:
            FILES[key] = shared = SharedSignatures(file)
    return shared


@dataclass(slots=True)
class Signatures:
    """Numbers, ascending, and a column of bits for each: whether a vector is above the centre in a dimension."""

    centre: Vector
    numbers: Numbers
    bits: Bits

    @classmethod
    def read(cls, connection: sqlite3.Connection, space: "Space", after: int, centre: Vector | None) -> "Signatures":
        """Of the vectors with higher numbers; without a centre, it is that of the first thousand."""
        sql = VECTORS.format(table=space.table, key=KEYS[space.table])
        cursor = connection.execute(sql, (after, space.id, space.id))
        numbers, bits = [], []
        while rows := cursor.fetchmany(BLOCK):
            vectors = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f4").reshape(len(rows), -1)
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            if centre is None:
                centre = vectors.mean(axis=0)
            numbers.append(np.array([row[0] for row in rows], dtype=np.int64))
            bits.append(_packed(vectors >= centre))
        if centre is None or not numbers:
            return cls(np.zeros(0, np.float32) if centre is None else centre, np.zeros(0, np.int64), _packed(None))
        return cls(centre, np.concatenate(numbers), np.concatenate(bits, axis=1))

    def differing(self, query: Bits) -> Counts:
        """In how many bits each differs from the question's."""
        counts: Counts = np.zeros(self.numbers.size, np.uint16)
        for row, word in zip(self.bits, query, strict=False):
            counts += np.bitwise_count(row ^ word)
        return counts

    def upto(self, number: int) -> "Signatures":
        count = int(np.searchsorted(self.numbers, number, side="right"))
        return Signatures(self.centre, self.numbers[:count], self.bits[:, :count])

    def of(self, numbers: Numbers) -> "Signatures":
        """Only these, as far as they are here."""
        places = np.flatnonzero(np.isin(self.numbers, numbers))
        return Signatures(self.centre, self.numbers[places], self.bits[:, places])

    def and_more(self, more: "Signatures") -> "Signatures":
        if not more.numbers.size:
            return self
        if not self.numbers.size:
            return more
        return Signatures(
            self.centre,
            np.concatenate([self.numbers, more.numbers]),
            np.concatenate([self.bits, more.bits], axis=1),
        )

    def nearest(self, query: Vector, count: int, sure: int) -> list[int]:
        """The numbers of those that are most likely the nearest, the likeliest first; see `likely`."""
        if not self.numbers.size:
            return []
        pool = max(count, POOL_BITS // query.size)
        differing = self.differing(_packed((query >= 0)[None, :])[:, 0])
        places = np.arange(differing.size)
        if pool < differing.size:
            places = np.argpartition(differing, pool)[:pool]
        bits = np.unpackbits(np.ascontiguousarray(self.bits[:, places].T).view(np.uint8), axis=1, count=query.size)
        weights = bits.astype(np.float32) @ query
        order = np.argsort(-weights, kind="stable")[:count]
        weights = weights[order]
        last = weights[min(sure, weights.size) - 1] - MARGIN * float(np.linalg.norm(query))
        kept = max(int((weights >= last).sum()), min(LEAST, count))
        return [int(number) for number in self.numbers[places[order[:kept]]]]


def _packed(above: Any) -> Bits:
    """Rows of booleans as columns of 64-bit words."""
    if above is None:
        return np.zeros((0, 0), np.uint64)
    packed = np.packbits(above, axis=1)
    padded = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return np.ascontiguousarray(padded.view(np.uint64).T)


@dataclass(frozen=True, slots=True)
class Space:
    """The vectors of one table in one space. `id` as SQLite keeps it."""

    table: str
    id: str


@dataclass(slots=True)
class Shared:
    """Signatures as they were committed at one count of changes, and at each of `points` since."""

    signatures: Signatures
    loaded: int
    points: list[int] = field(default_factory=list)


class SharedSignatures:
    """What all connections of this process to one file share; to a database in memory there is only one."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.spaces: dict[Space, Shared] = {}
        self.lock = threading.Lock()

    def seen_by(self, connection: sqlite3.Connection, space: Space) -> Signatures:
        """Of every vector that this connection sees at this moment."""
        changes = connection.execute(CHANGES).fetchone()[0]
        shared, point = self._shared(space, changes)
        if shared is None or changes - point > NEWS:
            with self.lock:
                shared, point = self._shared(space, changes)
                if shared is None or changes - point > NEWS:
                    self._refresh(space)
            shared, point = self._shared(space, changes)
        if shared is None:
            return Signatures.read(connection, space, -1, None)
        known = shared.signatures.upto(point)
        if point == changes:
            return known
        centre = known.centre if known.centre.size else None
        return known.and_more(Signatures.read(connection, space, point, centre))

    def _shared(self, space: Space, changes: int) -> tuple[Shared | None, int]:
        """What is shared, and the latest of its points that is no news to one who sees so many changes."""
        shared = self.spaces.get(space)
        place = bisect_right(shared.points, changes) if shared else 0
        return (shared, shared.points[place - 1]) if shared and place else (None, -1)

    def _refresh(self, space: Space) -> None:
        """Read what was committed: the news, or all of it again after many, so that little is held that is gone."""
        if not self.file:
            return
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            changes = connection.execute(CHANGES).fetchone()[0]
            shared = self.spaces.get(space)
            last = shared.points[-1] if shared else -1
            if shared is None or not 0 <= changes - shared.points[0] <= shared.loaded // 2 + NEWS or changes < last:
                signatures = Signatures.read(connection, space, -1, None)
                shared = Shared(signatures, signatures.numbers.size, [changes])
            elif changes > last:
                centre = shared.signatures.centre if shared.signatures.centre.size else None
                news = Signatures.read(connection, space, last, centre)
                shared = Shared(shared.signatures.and_more(news), shared.loaded, [*shared.points, changes])
        self.spaces.pop(space, None)
        self.spaces[space] = shared
        while len(self.spaces) > 1 and sum(one.signatures.bits.nbytes for one in self.spaces.values()) > MOST_BYTES:
            del self.spaces[next(iter(self.spaces))]


class LikelyOf:
    """likely_of(table, space, query, count, sure, number): as `likely`, of these numbers alone."""

    def __init__(self, seen: Callable[[str, str], Signatures]) -> None:
        self.seen = seen
        self.numbers: list[int] = []
        self.asked: tuple[str, str, bytes, int, int] | None = None

    def step(self, table: str, space: str, query: bytes, count: int, sure: int, number: int) -> None:
        if self.asked is None:
            self.asked = table, space, query, count, sure
        self.numbers.append(number)

    def finalize(self) -> str:
        if self.asked is None:
            return "[]"
        table, space, query, count, sure = self.asked
        signatures = self.seen(table, space).of(np.array(self.numbers, dtype=np.int64))
        return json.dumps(signatures.nearest(np.frombuffer(query, dtype="<f4"), count, sure))
