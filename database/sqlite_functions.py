"""What PostgreSQL and pgvector bring and SQLite has not: SQL functions of the same meaning, on every connection."""

import json
import re
import sqlite3
from collections.abc import Callable
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np

from database import sqlite_trigrams

Numbers = np.ndarray[Any, np.dtype[np.float64]]

BLOCK = 1_024
"""Vectors that are compared in one multiplication; memory stays flat however many rows there are."""


def register(connection: sqlite3.Connection) -> sqlite3.Connection:
    for name, distance in DISTANCES.items():
        connection.create_function(name, 2, distance, deterministic=True)
    connection.create_function("lower_case", 1, lower_case, deterministic=True)
    connection.create_function("has_word", 2, has_word, deterministic=True)
    connection.create_function("jsonb_contains", 2, jsonb_contains, deterministic=True)
    sqlite_trigrams.register(connection)
    connection.create_aggregate("nearest", 5, Nearest)  # type: ignore[arg-type]  # typeshed wants one argument in step
    return connection


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


Score = Callable[[Numbers, Numbers], Numbers]

SCORES: dict[str, Score] = {
    "cosine": _cosine_scores,
    "l2": _l2_scores,
    "inner_product": _inner_product_scores,
}
"""More is nearer: the similarity, or minus the distance."""


class Nearest:
    """nearest(key, vector, query, metric, count): JSON of the `count` best [key, score], the best first, ties by key.

    Several times faster than a distance for each row: the vectors of a block are multiplied at once. A score has
    single precision, as the vectors have, so that equal vectors tie wherever in a block they stand.
    """

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.vectors: list[bytes] = []
        self.best: list[tuple[float, str]] = []
        self.query = np.empty(0)
        self.score: Score = _cosine_scores
        self.count = 0

    def step(self, key: str, vector: bytes, query: bytes, metric: str, count: int) -> None:
        if not self.count:
            self.query, self.score, self.count = _numbers(query), SCORES[metric], count
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
        rows = np.frombuffer(b"".join(self.vectors), dtype="<f4").reshape(len(self.vectors), -1).astype(np.float64)
        less = -self.score(rows, self.query).astype(np.float32)
        last = min(self.count, less.size) - 1
        nearest = np.flatnonzero(less <= np.partition(less, last)[last])
        self.best = sorted([*self.best, *((float(less[place]), self.keys[place]) for place in nearest)])[: self.count]
        self.keys, self.vectors = [], []


def lower_case(text: str | None) -> str | None:
    """`lower` of every script; SQLite's own knows ASCII."""
    return text if text is None else text.lower()


def has_word(text: str, words: str) -> bool:
    """Whether `text` has one of `words`, which spaces part, in upper or lower case."""
    return _one_of(words).search(text) is not None


@lru_cache
def _one_of(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words.split()))})\b", re.IGNORECASE)


def jsonb_contains(document: str, part: str) -> bool:
    """Whether `document` holds what `part` holds, as PostgreSQL's function of this name (`@>`) answers for objects."""
    return _contains(json.loads(document), json.loads(part))


def _contains(document: object, part: object) -> bool:
    match document, part:
        case dict(), dict():
            return all(key in document and _contains(document[key], value) for key, value in part.items())
        case list(), list():
            return all(any(_contains(item, wanted) for item in document) for wanted in part)
        case (bool(), _) | (_, bool()):
            return document is part
    return document == part
