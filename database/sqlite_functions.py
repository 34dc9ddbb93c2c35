"""What PostgreSQL and pgvector bring and SQLite has not: SQL functions of the same meaning, on every connection."""

import json
import re
import sqlite3
from collections import Counter
from functools import lru_cache

from database import (
    sqlite_held,
    sqlite_likely,
    sqlite_nearest,
    sqlite_scores,
    sqlite_vectors,
    sqlite_words,
)


def register(connection: sqlite3.Connection, vector_memory_mb: int = sqlite_held.DEFAULT_MB) -> sqlite3.Connection:
    connection.create_function("lower_case", 1, lower_case, deterministic=True)
    connection.create_function("has_word", 2, has_word, deterministic=True)
    connection.create_function("jsonb_contains", 2, jsonb_contains, deterministic=True)
    connection.create_function("most_frequent", 2, most_frequent, deterministic=True)
    connection.create_function("exact_sum", 2, exact_sum, deterministic=True)
    sqlite_vectors.register(connection)
    sqlite_nearest.register(connection, vector_memory_mb)
    sqlite_likely.register(connection, vector_memory_mb)
    sqlite_scores.register(connection, vector_memory_mb)
    sqlite_words.register(connection)
    return connection


def lower_case(text: str | None) -> str | None:
    """`lower` of every script; SQLite's own knows ASCII."""
    return text if text is None else text.lower()


def exact_sum(one: int, other: int) -> int:
    """SQLite refuses what is more than it can keep, as SQLITE_TOOBIG."""
    return one + other


def most_frequent(numbers: str | None, count: int) -> str:
    """Of numbers that commas part, how often each is there, as a JSON object: the `count` most frequent ones, and all
    that are as frequent as the last of them."""
    found = Counter(numbers.split(",")) if numbers else Counter[str]()
    least = min(sorted(found.values(), reverse=True)[:count], default=0)
    return json.dumps({number: times for number, times in found.items() if times >= least})


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
