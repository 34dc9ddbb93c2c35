"""A status that only moves forward, as a run's and a step's do."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import TypeVar

import sqlalchemy as sa

from database.errors import StaleVersionError, StoreError
from repositories.ownership import Condition

StatusT = TypeVar("StatusT", bound=StrEnum)


def is_one_of(column: sa.Column[StatusT], statuses: Collection[StatusT]) -> Condition:
    """For a statement that is built once: IN would be written out anew at each call."""
    return sa.or_(sa.false(), *(column == status for status in sorted(statuses)))


def moves(column: sa.Column[StatusT], before: Mapping[StatusT, Collection[StatusT]]) -> Mapping[str, Condition]:
    """The condition under which a row comes to each status, by what may be `before` it."""
    return {status: is_one_of(column, earlier) for status, earlier in before.items()}


def forward(moves: Mapping[str, Condition], values: Mapping[str, object]) -> tuple[Condition, StoreError] | None:
    """A repository's `_guard`: when a row takes the status of these values, and what is raised when it does not."""
    return (moves[str(values["status"])], StaleVersionError("status")) if "status" in values else None
