"""How alike a word and a text are: pg_trgm's number, of the candidates of both databases.

Counted here, the server's processor is spared most of a search, and no extension is needed.
"""

from collections.abc import Sequence
from functools import lru_cache
from sys import intern
from typing import TypeAlias

import numpy as np
import regex

WORD = regex.compile(r"[\p{Alphabetic}\p{Nd}]+")

ASCII = bytes(ord(chr(code).lower()) if chr(code).isalnum() else ord(" ") for code in range(128)) + bytes(128)
"""Of a text without other letters this makes the same words, thirty times as quickly: of each byte its lower case, or a
blank."""

LEAST_SIMILARITY = 0.3
"""Below it two words have little more in common than any two; pg_trgm's own threshold of likeness."""

Trigrams: TypeAlias = frozenset[str]


Told: TypeAlias = tuple[Trigrams, Trigrams, int]
"""Of a word of a text: its trigrams, those that it shares with the word that is asked, and how many either has."""


class Asked(dict[str, Told]):
    """A word, and what it shares with words of texts, which it finds out once. Where it is all that is asked, `least`
    is what a text needs: how much less it has does not matter."""

    def __init__(self, word: str, least: float) -> None:
        self.trigrams, self.least = _trigrams(word), least
        self.found_as = [trigram.replace("  ", " ") for trigram in self.trigrams]

    def __missing__(self, word: str) -> Told:
        trigrams = _trigrams(word)
        shared = self.trigrams & trigrams
        told = self[word] = trigrams, shared, len(self.trigrams) + len(trigrams) - len(shared)
        return told


def mean_similarities(words: Sequence[str], texts: Sequence[str]) -> list[float]:
    """For each text the mean of strict_word_similarity over the words, which are in lower case; right where it is
    LEAST_SIMILARITY or more, and less than that where it is not."""
    least = LEAST_SIMILARITY if len(words) == 1 else 0.0
    asked = [Asked(word, least) for word in words]
    means = []
    for text in texts:
        told, total = _told(text), 0.0
        for word in asked:
            total += _strict_similarity(word, told)
        means.append(total / len(asked))
    return means


def lowered(text: str) -> str:
    """Letter by letter, as PostgreSQL does it: Python knows final sigmas, and a dot that is a letter."""
    return text.replace("\u03a3", "\u03c3").replace("\u0130", "i").lower()


def strict_word_similarity(word: str, text: str) -> float:
    """pg_trgm's function of this name, for a question of one word."""
    return _strict_similarity(Asked(lowered(word), 0.0), _told(text))


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
    """The best share of common trigrams that a run of whole words has."""
    places = _near(asked, text)
    if not places:
        return 0.0
    words = [asked[text[start:end]] for start, end in places]
    best = max([len(shared) / holds for _, shared, holds in words])
    if _may_run(asked, text, places, words, max(best, asked.least)):
        best = _best_run(asked, text, places, words)
    return float(np.float32(best))


def _may_run(asked: Asked, text: str, places: Sequence[tuple[int, int]], words: Sequence[Told], best: float) -> bool:
    """Whether a run of several words can be better than `best`. It has two neighbours and what stands between them:
    with all that the text shares, and no more of others than these two and the two words behind the first."""
    most = len(frozenset().union(*[shared for _, shared, _ in words]))
    if len(words) == 1 or most < best * len(asked.trigrams):
        return False
    for place, (trigrams, _, holds) in enumerate(words[:-1]):
        others, _, hold = words[place + 1]
        if most >= best * holds and most >= best * hold:
            behind = text[places[place][1] : places[place + 1][0]].split(None, 2)[:2]
            if most >= best * len(asked.trigrams.union(trigrams, others, *map(_trigrams, behind))):
                return True
    return False


def _best_run(asked: Asked, text: str, places: Sequence[tuple[int, int]], words: Sequence[Told]) -> float:
    """pg_trgm's way, which never goes back.

    For each word that a run may end with it looks for the best beginning, from that of the best run so far on. Words
    without a common trigram end no run better than the word before them did, and begin none.
    """
    size, best, first = len(asked.trigrams), 0.0, 0
    for last, (run, shared, holds) in enumerate(words):
        start, begin, shares = last, last, len(shared)
        while start > first:
            most = len(shared.union(*[other for _, other, _ in words[first:start]]))
            # A longer run holds the next word too, and might have all that can be had from here to `first`.
            if most * holds < shares * (size + len(run | words[start - 1][0]) - most):
                break
            start -= 1
            between = text[places[start][1] : places[start + 1][0]].split()
            run = run.union(words[start][0], *map(_trigrams, between))
            shared = shared | words[start][1]
            held = size + len(run) - len(shared)
            if len(shared) * holds >= shares * held:
                begin, shares, holds = start, len(shared), held
        first = begin
        best = max(best, shares / holds)
    return best
