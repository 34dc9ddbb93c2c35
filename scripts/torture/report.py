"""One row for each fault, and the table of all."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from scripts.torture.journal import Verdict

LEAST_ACKNOWLEDGED = 100
LONGEST_CALL = 30.0
"""Seconds, whatever happened meanwhile."""


@dataclass(frozen=True, slots=True)
class Row:
    """`rounds`: how often the fault was tried. `hit`: how often it met work. `outage`: seconds of the longest call.

    `limit`: the seconds that it may take. `kept`: nothing is wrong but perhaps that; None: not run, `note` says why.
    """

    fault: str
    database: str
    rounds: int = 0
    hit: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0
    outage: float = 0.0
    limit: float = LONGEST_CALL
    kept: bool | None = None
    note: str = ""

    @property
    def passes(self) -> bool | None:
        """Kept, within the time limit, and by a run that says something: None: not run."""
        if self.kept is None:
            return None
        meant_something = self.hit > 0 and self.acknowledged >= LEAST_ACKNOWLEDGED
        return self.kept and meant_something and self.outage <= self.limit


def row_of(
    fault: str, database: str, verdict: Verdict, *, rounds: int, hit: int, kept: bool = True, note: str = ""
) -> Row:
    """`kept`: what the verdict does not know."""
    notes = [note] if note else []
    if verdict.unacknowledged:
        notes.append(f"{verdict.unacknowledged} stored, not acknowledged")
    if verdict.miscounted:
        notes.append(f"{verdict.miscounted} conversations miscounted")
    notes += [f"{count} {name}" for name, count in sorted(verdict.errors.items())]
    return Row(
        fault=fault,
        database=database,
        rounds=rounds,
        hit=hit,
        acknowledged=verdict.acknowledged,
        lost=verdict.lost,
        doubled=verdict.doubled,
        torn=verdict.torn,
        outage=round(verdict.outage, 2),
        kept=kept and verdict.whole and not verdict.errors,
        note=", ".join(notes),
    )


def kind_of(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql"


def not_run(fault: str, database: str, reason: str) -> Row:
    return Row(fault, database, note=reason)


def table_of(rows: Sequence[Row]) -> Group:
    """What is worth a word stands below it."""
    table = Table("fault", "on", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name in ("rounds", "hit", "acked", "lost", "doubled", "torn", "longest"):
        table.add_column(name, justify="right")
    table.add_column("kept")
    words = {True: Text("yes", "green"), False: Text("NO", "bold red"), None: Text("not run", "yellow")}
    for row in rows:
        numbers = (row.rounds, row.hit, row.acknowledged, row.lost, row.doubled, row.torn)
        table.add_row(row.fault, row.database, *map(str, numbers), f"{row.outage:.2f} s", words[row.passes])
    notes = [Text(f"{row.fault}, {row.database}: {row.note}") for row in rows if row.note]
    return Group(table, *notes)
