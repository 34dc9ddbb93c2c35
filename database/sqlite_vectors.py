"""Vectors in SQLite: pgvector's distances and measures as functions, and the exact nearest of many."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from math import isnan, sqrt
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Singles = np.ndarray[Any, np.dtype[np.float32]]

BLOCK = 1_024
"""Vectors that are read and compared at once; memory stays flat however many rows there are."""

FEW = 64
"""Vectors that are multiplied in double precision at once: to tell them apart first would take longer."""

ROUNDING = float(np.finfo(np.float32).eps)


def register(connection: sqlite3.Connection) -> None:
    for name, distance in DISTANCES.items():
        connection.create_function(name, 2, distance, deterministic=True)
    connection.create_function("vector_dims", 1, vector_dims, deterministic=True)
    connection.create_function("vector_norm", 1, vector_norm, deterministic=True)


def _cosine(a: bytes, b: bytes) -> float:
    x, (y, length) = _numbers(a), _query(b)
    return 1.0 - float(x.dot(y)) / (sqrt(float(x.dot(x))) * length)


@lru_cache(maxsize=16)
def _query(value: bytes) -> tuple[Numbers, float]:
    """The second vector is the same one in each row of a search."""
    numbers = _numbers(value)
    return numbers, sqrt(float(numbers.dot(numbers)))


def _l2(a: bytes, b: bytes) -> float:
    difference = _numbers(a) - _numbers(b)
    return float(np.sqrt(np.dot(difference, difference)))


def _inner_product(a: bytes, b: bytes) -> float:
    return float(-np.dot(_numbers(a), _numbers(b)))


def matrix_of(vectors: Sequence[bytes]) -> Singles:
    """A row each, of one vector at least."""
    return np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(vectors), -1)


def _numbers(value: bytes) -> Numbers:
    return np.frombuffer(value, dtype="<f4").astype(np.float64)


DISTANCES: dict[str, Callable[[bytes, bytes], float]] = {
    "distance_cosine": _cosine,
    "distance_l2": _l2,
    "distance_inner_product": _inner_product,
}
"""Less is nearer, as pgvector's operators <=>, <-> and <#>."""


def vector_dims(value: object) -> int:
    """How many numbers it holds; -1: it is no vector at all."""
    return len(value) // 4 if isinstance(value, bytes) and len(value) % 4 == 0 else -1


def vector_norm(value: object) -> float | None:
    """Its length, infinity included; None where there is none, as of NaN."""
    if not isinstance(value, bytes) or len(value) % 4:
        return None
    numbers = _numbers(value)
    length = sqrt(float(numbers.dot(numbers)))
    return None if isnan(length) else length


def _cosine_scores(rows: Numbers, query: Numbers) -> Numbers:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows) * np.dot(query, query))
    scores: Numbers = rows @ query / lengths
    return scores


def _l2_scores(rows: Numbers, query: Numbers) -> Numbers:
    differences = rows - query
    scores: Numbers = -np.sqrt(np.einsum("ij,ij->i", differences, differences))
    return scores


def _inner_product_scores(rows: Numbers, query: Numbers) -> Numbers:
    scores: Numbers = rows @ query
    return scores


Score = Callable[[Any, Any], Any]

SCORES: dict[str, Score] = {
    "cosine": _cosine_scores,
    "l2": _l2_scores,
    "inner_product": _inner_product_scores,
}
"""More is nearer: the similarity, or minus the distance. In the precision of what it is given."""


class Nearest:
    """The `count` rows nearest to a question, of those that are added; [id, score], the best first, ties by id.

    The vectors that are added together are multiplied at once in single precision, and those that may be among the best
    once more in double: a score has single precision, as the vectors have, so that equal vectors tie wherever they
    stand.
    """

    def __init__(self, query: bytes, metric: str, count: int) -> None:
        self.query: Singles = np.frombuffer(query, dtype="<f4")
        self.metric, self.count = metric, count
        self.score = SCORES[metric]
        self.clear()

    def clear(self) -> None:
        self.best: dict[str, float] = {}
        self.met = 0

    @cached_property
    def direction(self) -> Singles:
        """The question, of length one."""
        direction: Singles = (self.query / np.linalg.norm(self.query.astype(np.float64))).astype(np.float32)
        return direction

    @property
    def hits(self) -> list[tuple[str, float]]:
        return [(id, 0.0 - less) for id, less in self.best.items()]

    @property
    def is_full(self) -> bool:
        return len(self.best) == self.count

    @property
    def worst(self) -> float:
        """The score of the last one of the best."""
        return -next(reversed(self.best.values()))

    def is_beyond(self, score: float) -> bool:
        """Whether a row of this score would come after all of the best, whatever its id."""
        return self.is_full and score < self.worst

    def add(self, added: Sequence[tuple[str, bytes]]) -> None:
        """Of these, each an id and a vector, and the best until now, keep the best."""
        if not added:
            return
        self.met += len(added)
        rows = matrix_of([vector for _, vector in added])
        places = np.arange(len(added)) if len(added) <= FEW else self._likely(rows)
        scores = self.score(rows[places].astype(np.float64), self.query.astype(np.float64))
        less = (-scores).astype(np.float32).tolist()
        found = self.best | {added[place][0]: score for score, place in zip(less, places.tolist(), strict=True)}
        best = sorted(found.items(), key=lambda hit: (hit[1], hit[0]))
        self.best = dict(best[: self.count])

    def _likely(self, rows: Singles) -> np.ndarray[Any, np.dtype[np.int64]]:
        rough = self.score(rows, self.query)
        wanted = min(self.count, rough.size)
        worst = np.partition(rough, rough.size - wanted)[rough.size - wanted]
        if self.is_full:
            worst = max(worst, self.worst)
        likely: np.ndarray[Any, np.dtype[np.int64]] = np.flatnonzero(rough >= worst - 2 * self._error(rows))
        return likely

    def _error(self, rows: Singles) -> float:
        """By how much a score in single precision can be off: every sum has rounded once for each dimension."""
        if self.metric == "cosine":
            return ROUNDING * (self.query.size + 4)
        largest = float(np.abs(rows).max()) * sqrt(self.query.size)
        length = float(np.linalg.norm(self.query.astype(np.float64)))
        if self.metric == "l2":
            return ROUNDING * (self.query.size + 4) * (largest + length)
        return ROUNDING * (self.query.size + 4) * largest * length
