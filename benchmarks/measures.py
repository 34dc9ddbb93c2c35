"""How good a ranked list is, for a question whose answers are known."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Generic, TypeVar

IdT = TypeVar("IdT")

CUTS = (5, 10, 20)
"""Depths at which recall is measured."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over questions: recall at each of CUTS, mean reciprocal rank, nDCG at 10."""

    questions: int
    recall: Sequence[float]
    mrr: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class Answer(Generic[IdT]):
    """The list that a search gave, and what it should hold."""

    found: Sequence[IdT]
    wanted: Collection[IdT]

    def recall(self, cut: int) -> float:
        return len(set(self.found[:cut]) & set(self.wanted)) / len(self.wanted)

    def reciprocal_rank(self) -> float:
        return next((1 / place for place, id in enumerate(self.found, 1) if id in self.wanted), 0.0)

    def ndcg(self, cut: int = 10) -> float:
        gain = sum(1 / math.log2(place + 1) for place, id in enumerate(self.found[:cut], 1) if id in self.wanted)
        return gain / sum(1 / math.log2(place + 1) for place in range(1, min(len(self.wanted), cut) + 1))


def quality(answers: Sequence[Answer[IdT]]) -> Quality:
    return Quality(
        len(answers),
        [fmean(answer.recall(cut) for answer in answers) for cut in CUTS],
        fmean(answer.reciprocal_rank() for answer in answers),
        fmean(answer.ndcg() for answer in answers),
    )
