"""What PostgreSQL's pg_trgm brings and SQLite has not: how alike a word and a text are, as the same number."""

import json
import re
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
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
    asked, parts = _array(words), _parts(text)
    total = 0.0
    for word in asked:
        total += _strict_similarity(_trigrams(word), parts)
    return total / len(asked)


def _parts(text: str) -> list[Trigrams]:
    return list(map(_trigrams, _words(lowered(text))))


def _words(text: str) -> list[str]:
    """Those of a text in lower case."""
    return (ASCII_WORD if text.isascii() else WORD).findall(text)


def lowered(text: str) -> str:
    """Letter by letter, as PostgreSQL does it: Python knows final sigmas, and a dot that is a letter."""
    return text.replace("\u03a3", "\u03c3").replace("\u0130", "i").lower()


def strict_word_similarity(word: str, text: str) -> float:
    """pg_trgm's function of this name, for a question of one word."""
    return _strict_similarity(_trigrams(lowered(word)), _parts(text))


@lru_cache(maxsize=64)
def _array(value: str) -> tuple[str, ...]:
    return tuple(json.loads(value))


@lru_cache(maxsize=10_000)
def _trigrams(word: str) -> Trigrams:
    padded = f"  {word} "
    return frozenset(padded[place : place + 3] for place in range(len(padded) - 2))


def _strict_similarity(asked: Trigrams, words: Sequence[Trigrams]) -> float:
    """The best share of common trigrams that a run of whole words has; pg_trgm's way, which never goes back.

    For each word that a run may end with it looks for the best beginning, from that of the best run so far on. Words
    without a common trigram end no run better than the word before them did, and begin none.
    """
    places = [place for place, apart in enumerate(map(asked.isdisjoint, words)) if not apart]
    most, size = len(asked.intersection(chain.from_iterable([words[place] for place in places]))), len(asked)
    best, first = 0.0, 0
    for last, end in enumerate(places):
        run = words[end]
        start, begin, shares = last, last, len(asked & run)
        holds = size + len(run) - shares
        # Until longer runs hold too much else, even if they held all that the text has of what is asked.
        while start > first and most * holds >= shares * (size + len(run) - most):
            start -= 1
            run = run.union(*words[places[start] : places[start + 1]])
            shared = len(asked & run)
            held = size + len(run) - shared
            if shared * holds >= shares * held:
                begin, shares, holds = start, shared, held
        first = begin
        best = max(best, shares / holds)
    return float(np.float32(best))
