"""What PostgreSQL's pg_trgm brings and SQLite has not: how alike a word and a text are, as the same number."""

import json
import re
import sqlite3
from functools import lru_cache
from itertools import chain, compress
from typing import TypeAlias

import numpy as np
import regex

WORD = regex.compile(r"[\p{Alphabetic}\p{Nd}]+")

ASCII_WORD = re.compile("[a-z0-9]+")
"""The same words of a text that has no other letters, four times as quickly."""

Trigrams: TypeAlias = frozenset[str]


def register(connection: sqlite3.Connection) -> None:
    connection.create_function("mean_word_similarity", 2, mean_word_similarity, deterministic=True)


def mean_word_similarity(words: str, text: str) -> float:
    """The mean of strict_word_similarity over the words, a JSON array; added up as PostgreSQL does."""
    asked = _array(words)
    parts = [_trigrams(word) for word in _words(lowered(text))]
    total = 0.0
    for word in asked:
        total += _strict_similarity(_trigrams(word), parts)
    return total / len(asked)


def _words(text: str) -> list[str]:
    """Those of a text in lower case."""
    return (ASCII_WORD if text.isascii() else WORD).findall(text)


def lowered(text: str) -> str:
    """Letter by letter, as PostgreSQL does it: Python knows final sigmas, and a dot that is a letter."""
    return text.replace("\u03a3", "\u03c3").replace("\u0130", "i").lower()


def strict_word_similarity(word: str, text: str) -> float:
    """pg_trgm's function of this name, for a question of one word."""
    return _strict_similarity(_trigrams(lowered(word)), [_trigrams(part) for part in _words(lowered(text))])


@lru_cache(maxsize=64)
def _array(value: str) -> tuple[str, ...]:
    return tuple(json.loads(value))


@lru_cache(maxsize=10_000)
def _trigrams(word: str) -> Trigrams:
    padded = f"  {word} "
    return frozenset(padded[place : place + 3] for place in range(len(padded) - 2))


def _strict_similarity(asked: Trigrams, words: list[Trigrams]) -> float:
    """The best share of common trigrams that a run of whole words has; pg_trgm's way, which never goes back.

    For each word that a run may end with it looks for the best beginning, from that of the best run so far on. Words
    without a common trigram end no run better than the word before them did, and begin none.
    """
    best, first = 0.0, 0
    common = [not asked.isdisjoint(word) for word in words]
    most, size = len(asked.intersection(chain.from_iterable(compress(words, common)))), len(asked)
    for last in compress(range(len(words)), common):
        run: Trigrams = frozenset()
        found, begin, shares, holds = 0.0, last, 0, 1
        for place in range(last, first - 1, -1):
            if most * holds < shares * (size + len(run) - most):
                break  # Longer runs hold too much else, even if they held all that the text has of what is asked.
            run |= words[place]
            if common[place]:
                shared = len(asked & run)
                similarity = shared / (size + len(run) - shared)
                if similarity >= found:
                    found, begin, shares, holds = similarity, place, shared, size + len(run) - shared
        first = begin
        best = max(best, found)
    return float(np.float32(best))
