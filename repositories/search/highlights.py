"""Where the words of a question stand in a text."""

from collections.abc import Collection
from functools import lru_cache
from typing import Protocol

from database.settings import TextLanguage
from repositories.search.words import NO_WORD


class Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # its name there


Span = tuple[int, int]
"""From the first character to behind the last one, so that `text[start:end]` is the word."""


def highlights(text: str, words: Collection[str], language: TextLanguage) -> tuple[Span, ...]:
    """The words in whatever form the text index takes for theirs, in order; in English, else as they are written."""
    wanted = {_stem(word, language) for word in words}
    spans: list[Span] = []
    start = 0
    for gap in NO_WORD.finditer(text):
        spans.append((start, gap.start()))
        start = gap.end()
    spans.append((start, len(text)))
    return tuple(span for span in spans if span[0] < span[1] and _stem(text[slice(*span)].lower(), language) in wanted)


@lru_cache(maxsize=10_000)
def _stem(word: str, language: TextLanguage) -> str:
    # As FTS5 and PostgreSQL have it: two letters have no other form.
    return _porter().stemWord(word) if language == "english" and len(word) > 2 else word


@lru_cache(maxsize=1)
def _porter() -> Stemmer:
    # Late: it loads the rules of all its languages.
    import snowballstemmer

    stemmer: Stemmer = snowballstemmer.stemmer("porter")
    return stemmer
