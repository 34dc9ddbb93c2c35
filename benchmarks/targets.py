"""What each figure must be and what it should be, as a ratio to the raw driver's of the same run or as it is."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    must: float
    goal: float
    less: bool
    """Whether less is better."""
    of_ratio: bool = True

    def holds(self, value: float, bound: float) -> bool:
        return value <= bound if self.less else value >= bound

    def shown(self, bound: float) -> str:
        return f"{'≤' if self.less else '≥'} {bound:g}{'x' if self.of_ratio else ''}"


def most(must: float, goal: float) -> Target:
    return Target(must, goal, less=True)


def least(must: float, goal: float) -> Target:
    return Target(must, goal, less=False)


def at_most(must: float, goal: float) -> Target:
    return Target(must, goal, less=True, of_ratio=False)


def at_least(must: float, goal: float) -> Target:
    return Target(must, goal, less=False, of_ratio=False)


BOTH = {
    "deletion": most(2, 1.3),
    "deletion.statements": at_most(3, 3),
    "hybrid.rare": at_most(2.2, 1.6),
    "hybrid.frequent": at_most(5, 2),
    "agents.append": at_most(10, 5),
    "agents.last": at_most(10, 4),
    "agents.recall": at_most(30, 12),
    "agents.saturated": least(0.85, 0.95),
}

POSTGRES = {
    "append.serial": most(1.7, 1.3),
    "append.calls": at_most(650, 450),
    "append.writers": least(0.65, 0.9),
    "append.group": least(2, 3),
    "history.last": most(2.2, 1.5),
    "history.flat": at_most(1.15, 1.05),
    "bulk": least(0.8, 0.95),
    "nearest.persona": most(1.6, 1.25),
    "nearest.recall.persona.near": at_least(0.98, 1),
    "nearest.recall.persona.far": at_least(0.98, 1),
}

SQLITE = {
    "append.serial": most(2.5, 1.5),
    "append.writers": least(0.3, 0.8),
    "history.last": most(4, 2),
    "bulk": least(0.5, 0.8),
    "nearest.persona": at_most(4, 2.5),
    "nearest.all": at_most(8, 3),
    "nearest.recall.persona.near": at_least(0.97, 0.99),
    "nearest.recall.persona.far": at_least(0.97, 0.99),
    "nearest.recall.all.near": at_least(0.97, 0.99),
    "nearest.recall.all.far": at_least(0.97, 0.99),
}

TARGETS: Mapping[str, Mapping[str, Target]] = {"postgres": BOTH | POSTGRES, "sqlite": BOTH | SQLITE}


def target_of(db: str, key: str) -> Target | None:
    return TARGETS[db].get(key)
