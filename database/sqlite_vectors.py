"""Vectors in SQLite: pgvector's distances and measures as functions, and the exact nearest of many by one aggregate."""

import json
import sqlite3
from collections.abc import Callable
from functools import lru_cache
from math import isnan, sqrt
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Singles = np.ndarray[Any, np.dtype[np.float32]]

BLOCK = 1_024
"""Vectors that are compared in one multiplication; memory stays flat however many rows there are."""

ROUNDING = float(np.finfo(np.float32).eps)


def register(connection: sqlite3.Connection) -> None:
    for name, distance in DISTANCES.items():
        connection.create_function(name, 2, distance, deterministic=True)
    connection.create_function("vector_dims", 1, vector_dims, deterministic=True)
    connection.create_function("vector_norm", 1, vector_norm, deterministic=True)
    connection.create_aggregate("nearest", 5, Nearest)  # type: ignore[arg-type]  # typeshed wants one argument in step


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
    """nearest(key, vector, query, metric, count): JSON of the `count` best [key, score], the best first, ties by key.

    The vectors of a block are multiplied at once in single precision, and those that may be among the best once more
    in double: a score has single precision, as the vectors have, so that equal vectors tie wherever they stand.
    """

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.vectors: list[bytes] = []
        self.best: list[tuple[float, str]] = []
        self.query: Singles = np.empty(0, np.float32)
        self.score: Score = _cosine_scores
        self.count = 0
        self.of_lengths = 0.0

    def step(self, key: str, vector: bytes, query: bytes, metric: str, count: int) -> None:
        if not self.count:
            self.query, self.score, self.count = np.frombuffer(query, dtype="<f4"), SCORES[metric], count
            self.of_lengths = 0.0 if metric == "cosine" else 1.0
        self.keys.append(key)
        self.vectors.append(vector)
        if len(self.keys) == BLOCK:
            self._fold()

    def finalize(self) -> str:
        if self.keys:
            self._fold()
        return json.dumps([(key, 0.0 - less) for less, key in self.best])

    def _fold(self) -> None:
        """Of this block and the best until now, keep the best."""
        rows = np.frombuffer(b"".join(self.vectors), dtype="<f4").reshape(len(self.vectors), -1)
        rough = self.score(rows, self.query)
        wanted = min(self.count, rough.size)
        worst = np.partition(rough, rough.size - wanted)[rough.size - wanted]
        if len(self.best) == self.count:
            worst = max(worst, -self.best[-1][0])
        places = np.flatnonzero(rough >= worst - 2 * self._error(rows))
        scores = self.score(rows[places].astype(np.float64), self.query.astype(np.float64))
        less = (-scores).astype(np.float32).tolist()
        found = ((score, self.keys[place]) for score, place in zip(less, places.tolist(), strict=True))
        self.best = sorted([*self.best, *found])[: self.count]
        self.keys, self.vectors = [], []

    def _error(self, rows: Singles) -> float:
        """By how much a score in single precision can be off: every sum has rounded once for each dimension."""
        if not self.of_lengths:
            return ROUNDING * (self.query.size + 4)
        largest = float(np.abs(rows).max()) * sqrt(self.query.size)
        length = float(np.linalg.norm(self.query.astype(np.float64)))
        if self.score is _l2_scores:
            return ROUNDING * (self.query.size + 4) * (largest + length)
        return ROUNDING * (self.query.size + 4) * largest * length
