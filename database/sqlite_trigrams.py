"""What PostgreSQL's pg_trgm brings and SQLite has not: how alike a word and a text are, as the same number."""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import TypeAlias

import numpy as np
import regex

WORD = regex.compile(r"[\p{Alphabetic}\p{Nd}]+")

ASCII = bytes(ord(chr(code).lower()) if chr(code).isalnum() else ord(" ") for code in range(128)) + bytes(128)
"""Of a text without other letters this makes the same words, thirty times as quickly: of each byte its lower case, or a
blank."""

Trigrams: TypeAlias = frozenset[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A word with its trigrams, and as they are found in a text whose words one blank parts."""

    trigrams: Trigrams
    found_as: Sequence[str]


def register(connection: sqlite3.Connection) -> None:
    connection.create_function("mean_word_similarity", 2, mean_word_similarity, deterministic=True)
    connection.create_function("most_frequent", 2, most_frequent, deterministic=True)


def most_frequent(numbers: str | None, count: int) -> str:
    """Of numbers that commas part, how often each is there, as a JSON object: the `count` most frequent ones, and all
    that are as frequent as the last of them."""
    found = Counter(numbers.split(",")) if numbers else Counter[str]()
    least = min(sorted(found.values(), reverse=True)[:count], default=0)
    return json.dumps({number: times for number, times in found.items() if times >= least})


def mean_word_similarity(words: str, text: str) -> float:
    """The mean of strict_word_similarity over the words, a JSON array; added up as PostgreSQL does."""
    asked, told = _array(words), _told(text)
    total = 0.0
    for word in asked:
        total += _strict_similarity(word, told)
    return total / len(asked)


def lowered(text: str) -> str:
    """Letter by letter, as PostgreSQL does it: Python knows final sigmas, and a dot that is a letter."""
    return text.replace("\u03a3", "\u03c3").replace("\u0130", "i").lower()


def strict_word_similarity(word: str, text: str) -> float:
    """pg_trgm's function of this name, for a question of one word."""
    return _strict_similarity(_asked(lowered(word)), _told(text))


@lru_cache(maxsize=64)
def _array(value: str) -> tuple[Asked, ...]:
    return tuple(map(_asked, json.loads(value)))


def _asked(word: str) -> Asked:
    trigrams = _trigrams(word)
    return Asked(trigrams, [trigram.replace("  ", " ") for trigram in trigrams])


def _told(text: str) -> str:
    """Its words in lower case, with blanks round each."""
    if text.isascii():
        return f" {text.encode().translate(ASCII).decode()} "
    return f" {' '.join(WORD.findall(lowered(text)))} "


@lru_cache(maxsize=10_000)
def _trigrams(word: str) -> Trigrams:
    padded = f"  {word} "
    return frozenset([intern(padded[place : place + 3]) for place in range(len(padded) - 2)])


def _near(asked: Asked, text: str) -> list[tuple[int, int]]:
    """Where the words begin and end that have a trigram of what is asked: four of thirty-five, as a rule."""
    ends: dict[int, int] = {}
    for trigram in asked.found_as:
        place = text.find(trigram)
        while place >= 0:
            start = text.rfind(" ", 0, place + 1) + 1
            ends[start] = end = text.index(" ", start)
            place = text.find(trigram, end)
    return sorted(ends.items())


def _strict_similarity(asked: Asked, text: str) -> float:
    """The best share of common trigrams that a run of whole words has; pg_trgm's way, which never goes back.

    For each word that a run may end with it looks for the best beginning, from that of the best run so far on. Words
    without a common trigram end no run better than the word before them did, and begin none.
    """
    places = _near(asked, text)
    words = [_trigrams(text[start:end]) for start, end in places]
    common = [asked.trigrams & word for word in words]
    size, best, first = len(asked.trigrams), 0.0, 0
    for last, (word, shared) in enumerate(zip(words, common, strict=True)):
        start, begin, shares, run = last, last, len(shared), word
        holds = size + len(run) - shares
        while start > first:
            most = len(shared.union(*common[first:start]))
            # A longer run holds the next word too, and might have all that can be had from here to `first`.
            if most * holds < shares * (size + len(run | words[start - 1]) - most):
                break
            start -= 1
            between = text[places[start][1] : places[start + 1][0]].split()
            run = run.union(words[start], *map(_trigrams, between))
            shared |= common[start]
            held = size + len(run) - len(shared)
            if len(shared) * holds >= shares * held:
                begin, shares, holds = start, len(shared), held
        first = begin
        best = max(best, shares / holds)
    return float(np.float32(best))
