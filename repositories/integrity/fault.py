"""What a look at the rows finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from database import Session


@dataclass(frozen=True, slots=True)
class Fault:
    """`rows` of `table` are not as they should be; `what` says how, and names no value.

    `cure` is what mending does about it; None: it cannot be mended, and `advice` says what a person can do.
    """

    table: str
    what: str
    rows: int
    cure: str | None = None
    advice: str = ""


class Part(Protocol):
    async def look(self, session: Session) -> Sequence[Fault]:
        """What is wrong now."""
        ...

    async def mend(self, session: Session) -> Sequence[Fault]:
        """Mend what has a cure, in the unit of the caller; what was mended."""
        ...
