"""Names, titles and messages found in spite of typos: what is asked, and what a text has to hold to be compared.

The text's index counts the pieces of the words that each text holds, however it is written otherwise; the ones with the
most pieces are compared, word by word, by their trigrams. Both databases go the same two steps and answer alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from models import Base, Conversation, Message, Persona
from repositories.ownership import table_of
from repositories.search.likeness import WORD, lowered
from repositories.search.words import asked_words

MOST_WORDS = 16
"""Of one question: who types more means no name."""

LONGEST_QUESTION = 1_000
"""Characters of a question that count: sixteen words have fewer, and a word of a million takes a second."""

CANDIDATES_A_HIT, LEAST_CANDIDATES = 2, 20
"""Texts with the most pieces, that are compared; to compare is what takes the time."""

LONGEST = 250_000
"""Characters of a text that are looked at, as by the text index."""

SHORT_WORD = 5
"""Letters up to which a word is known by three of them, or its edge, in a row; a longer one by four."""


@dataclass(frozen=True, slots=True)
class FuzzyText:
    """A column that is searched; its rows are `r` in SQL."""

    table: str
    column: str

    @property
    def index(self) -> str:
        return f"ix_fuzzy_{self.table}_{self.column}_pieces"


FUZZY: Mapping[type[Base], FuzzyText] = {
    Persona: FuzzyText("personas", "name"),
    Conversation: FuzzyText("conversations", "title"),
    Message: FuzzyText("messages", "content"),
}
"""In the order in which their indexes are built and dropped."""


@dataclass(frozen=True, slots=True)
class FuzzyQuery:
    """What is asked: one word at least."""

    model: type[Base]
    words: Sequence[str]
    scope: Mapping[str, object]
    columns: tuple[str, ...]
    limit: int

    @property
    def text(self) -> FuzzyText:
        return FUZZY[self.model]

    @property
    def pieces(self) -> list[str]:
        return list(dict.fromkeys(piece for word in self.words for piece in pieces_of(word)))

    @property
    def values(self) -> dict[str, object]:
        return {**self.scope, "candidates": max(CANDIDATES_A_HIT * self.limit, LEAST_CANDIDATES)}


def fuzzy_words(text: str) -> list[str]:
    """Of letters and digits alone; raises InvalidInputError for what no text column takes."""
    words = (part for word in asked_words(lowered(text[:LONGEST_QUESTION])) for part in WORD.findall(word))
    return list(dict.fromkeys(words))[:MOST_WORDS]


def pieces_of(word: str) -> list[str]:
    """Runs of three or four letters, where the word's edges count as one. The index knows runs of three: a text holds a
    piece of four that has its first three and its last three."""
    padded = f" {word} "
    size = min(len(padded), 3 if len(word) <= SHORT_WORD else 4)
    return [padded[place : place + size] for place in range(len(padded) - size + 1)]


OWN_OR_SHARED = "(r.owner_id = :owner_id OR r.owner_id IS NULL)"

SCOPES: Mapping[type[Base], Mapping[str, str]] = {
    Persona: {"owner_id": OWN_OR_SHARED},
    Conversation: {"owner_id": "r.owner_id = :owner_id", "persona_id": "r.persona_id = :persona_id"},
    Message: {
        "owner_id": "r.conversation_id IN (SELECT id FROM conversations WHERE owner_id = :owner_id)",
        "persona_id": "r.conversation_id IN (SELECT id FROM conversations WHERE persona_id = :persona_id)",
        "conversation_id": "r.conversation_id = :conversation_id",
    },
}

OF_THE_BEST = """
SELECT {read}
FROM best CROSS JOIN {table} AS r
WHERE r.id = best.id
"""

TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {
    "owner_id": sa.Text(),
    "persona_id": sa.Uuid(),
    "conversation_id": sa.Uuid(),
    "candidates": sa.BigInteger(),
}


@lru_cache(maxsize=200)
def fuzzy_statement(model: type[Base], scope: tuple[str, ...], columns: tuple[str, ...], best: str) -> sa.TextualSelect:
    """The texts to compare. Built once for each form of a question; `best` is the dialect's WITH, with {table},
    {column}, {scope}."""
    text, table = FUZZY[model], table_of(model)
    pieces = {
        "table": text.table,
        "column": text.column,
        "scope": " AND ".join(SCOPES[model][name] for name in scope) or "1 = 1",
        "read": ", ".join(f"r.{name}" for name in columns),
    }
    sql = sa.text((best + OF_THE_BEST).format(**pieces))
    bound = (sa.bindparam(name, type_=TYPES[name]) for name in (*scope, "candidates"))
    return sql.bindparams(*bound).columns(*(table.c[name] for name in columns))
