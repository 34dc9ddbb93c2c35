"""What makes a message a good answer, and how much each part of that weighs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from database.errors import InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The weight of each part of a score; 0 switches a part off. Parts lie between 0 and 1, the similarity from -1 on.

    The defaults are round numbers out of a wide plateau, chosen on LoCoMo: docs/ranking.md has what each one brings.
    """

    similarity: float = 1.0
    """Of the message's vector to the question's."""
    words: float = 0.35
    """Rare words in common (BM25), as a share of the question's best."""
    time: float = 0.5
    """Nearness to the time that the question names."""
    neighbours: float = 0.3
    """The better of the two messages beside it, by its own three parts above."""
    reply: float = 0.25
    """The message before it, if that asks."""
    episode: float = 0.25
    """Words of its whole episode, as of one text."""
    speaker: float = 0.1
    """Said by the one speaker whom the question names."""
    first_person: float = 0.1
    """The same, if the message speaks of its speaker."""

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallRanking:
    """The weight of each part of a memory's score; 0 switches a part off. Importance and age are off unless asked for:
    a factor for age is ruinous for questions about the past."""

    similarity: float = 1.0
    """Of the memory's vector to the question's."""
    words: float = 0.35
    """Rare words in common (BM25), as a share of the question's best."""
    importance: float = 0.0
    """The memory's own, 0 to 1."""
    age: float = 0.0
    """1 for what happens now, halved with each half-life."""
    half_life_days: float = 30.0

    def __post_init__(self) -> None:
        _check(self)
        if not self.half_life_days:
            raise InvalidInputError("ranking.half_life_days", "must be more than 0")


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """What each part added to a score, with its weight; they add up to the score."""

    similarity: float
    words: float
    time: float
    neighbours: float
    reply: float
    episode: float
    speaker: float
    first_person: float

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        return cls(**{field.name: row[f"part_{field.name}"] for field in fields(cls)})


def _check(ranking: "Ranking | RecallRanking") -> None:
    for field in fields(ranking):
        value = getattr(ranking, field.name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1_000:
            raise InvalidInputError(f"ranking.{field.name}", "must be a number from 0 to 1000")
