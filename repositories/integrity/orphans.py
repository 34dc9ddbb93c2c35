"""Rows that name a row which is not there, in every table of the database: an application's own too."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from database import Session
from repositories.integrity.fault import Fault

CURES = {"CASCADE": "removed", "SET NULL": "set to null"}
"""As the constraint would have done it when the parent went."""


@dataclass(frozen=True, slots=True)
class _Key:
    table: sa.TableClause
    columns: tuple[str, ...]
    parent: sa.TableClause
    parent_columns: tuple[str, ...]
    on_delete: str

    @property
    def orphaned(self) -> sa.ColumnElement[bool]:
        parent = self.parent.alias("parent")
        pairs = zip(self.columns, self.parent_columns, strict=True)
        there = sa.exists().where(*(self.table.c[ours] == parent.c[theirs] for ours, theirs in pairs))
        return sa.and_(*(self.table.c[name].is_not(None) for name in self.columns), ~there)

    def fault(self, rows: int) -> Fault:
        what = f"{', '.join(self.columns)} names a row of {self.parent.name} that is not there"
        advice = f"restore the rows of {self.parent.name}, or remove these by hand"
        return Fault(self.table.name, what, rows, CURES.get(self.on_delete), advice)


async def look(session: Session) -> Sequence[Fault]:
    connection = await session.core()
    found = []
    for key in await connection.run_sync(_keys):
        counted = sa.select(sa.func.count()).select_from(key.table).where(key.orphaned)
        if rows := (await connection.execute(counted)).scalar_one():
            found.append(key.fault(rows))
    return found


async def mend(session: Session) -> Sequence[Fault]:
    """What belongs to a removed row goes with it, in the database, and is not counted here."""
    connection = await session.core()
    mended = []
    for key in await connection.run_sync(_keys):
        change: sa.Update | sa.Delete
        match key.on_delete:
            case "CASCADE":
                change = sa.delete(key.table).where(key.orphaned)
            case "SET NULL":
                change = sa.update(key.table).where(key.orphaned).values(dict.fromkeys(key.columns, sa.null()))
            case _:
                continue
        if rows := (await connection.execute(change)).rowcount:
            mended.append(key.fault(rows))
    return mended


def _keys(connection: Connection) -> list[_Key]:
    """Parents before their children, so that most goes by the cascades of the database."""
    found = sa.inspect(connection).get_multi_foreign_keys()
    return [
        _Key(
            _table(table, key["constrained_columns"]),
            tuple(key["constrained_columns"]),
            _table(key["referred_table"], key["referred_columns"]),
            tuple(key["referred_columns"]),
            str(key.get("options", {}).get("ondelete", "")).upper(),
        )
        for (_, table), keys in sorted(found.items(), key=lambda item: str(item[0][1]))
        for key in keys
    ]


def _table(name: str, columns: Sequence[str]) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns))
