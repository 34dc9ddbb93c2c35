"""Statements that are units by themselves, on a connection that is kept from one to the next."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from database.ending import end_of, keeping
from database.prepared import Statement
from database.unit import Unit


class Alone:
    """One statement after another, never two at once; `rest()` where none follows soon.

    To take a connection and to give it back costs as much as a small statement. Where it is the last one of its pool,
    or the pool was closed, it is given back after each.
    """

    def __init__(self, take: Callable[[], Awaitable[Unit]]) -> None:
        self._take = take
        self._kept: Unit | None = None

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        if self._kept is not None and self._kept.is_wanted:
            await self.rest()
        if self._kept is None:
            self._kept = await self._take()
        unit = self._kept
        try:
            with keeping():
                rows = await unit.fetch_and_keep(statement, values)
        except BaseException:
            await self.rest()
            raise
        if unit.is_wanted:
            await self.rest()
        return rows

    async def rest(self) -> None:
        """Give the connection back, until the next statement."""
        unit, self._kept = self._kept, None
        if unit is not None:
            await end_of(unit, unit.give_back())
