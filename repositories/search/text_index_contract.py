"""What a look at the index of words finds, and what each database does for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Disagreement:
    """`rows` of the index of `table` are not what the table says."""

    table: str
    what: str
    rows: int


class TextIndex(Protocol):
    async def disagreements(self, connection: AsyncConnection) -> Sequence[Disagreement]: ...

    async def rebuild(self, connection: AsyncConnection, table: str) -> None:
        """In the transaction of the caller; the table waits for its end."""
        ...
