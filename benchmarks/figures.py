"""What a run found: a figure for each thing measured, its ratios to the limit, and what it is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.targets import Target, target_of

LIMIT, CORE, OURS = "limit", "core", "ours"

Rounds = Mapping[str, Sequence[float]]
"""By layer, what each round gave."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`layers`: medians over the rounds; `ratios`: medians of what each round's own limit gives them.

    `rows`: how many rows there were, where the same thing is measured at several sizes.
    """

    workload: str
    key: str
    what: str
    unit: str
    layers: Mapping[str, float]
    ratios: Mapping[str, float] = field(default_factory=dict)
    rows: int | None = None

    def judged(self, db: str) -> "Verdict | None":
        """Against the target for this database, if there is one."""
        target = target_of(db, self.key)
        if target is None:
            return None
        value = (self.ratios if target.of_ratio else self.layers).get(OURS)
        return None if value is None else Verdict(value, target)


@dataclass(frozen=True, slots=True)
class Verdict:
    value: float
    target: Target

    @property
    def must_met(self) -> bool:
        return self.target.holds(self.value, self.target.must)

    @property
    def goal_met(self) -> bool:
        return self.target.holds(self.value, self.target.goal)


@dataclass(frozen=True, slots=True)
class Run:
    """All of one database, at one level of durability."""

    database: str
    synchronous: str
    machine: Mapping[str, str]
    figures: Sequence[Figure]


def figure(
    workload: str,
    key: str,
    what: str,
    unit: str,
    rounds: Rounds,
    *,
    rows: int | None = None,
    compared: bool = True,
) -> Figure:
    """Of several rounds; each is `compared` with the limit that was measured beside it."""
    limits = rounds.get(LIMIT) if compared else None
    ratios = {}
    if limits:
        ratios = {
            layer: median(value / limit for value, limit in zip(values, limits, strict=True) if limit)
            for layer, values in rounds.items()
            if any(limits)
        }
    return Figure(workload, key, what, unit, {name: median(values) for name, values in rounds.items()}, ratios, rows)


def counted(workload: str, key: str, what: str, unit: str, layers: Mapping[str, float]) -> Figure:
    """What is the same in every round."""
    return figure(workload, key, what, unit, {name: [value] for name, value in layers.items()})
