"""What `check --deep` looks at: whether the rows agree with one another; and what `--repair` mends of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from database import Database
from database.errors import CorruptionError
from repositories.integrity import BACKUP, PARTS, Fault, mend
from scripts.findings import Finding, Level

REPAIR = "python3 -m scripts check --deep --repair"


@dataclass(frozen=True, slots=True)
class Repaired:
    """`rows` of `table` were not as `message` says they should be; `cure` is what was done about it."""

    table: str
    message: str
    rows: int
    cure: str


async def of_part(database: Database, part: str) -> AsyncIterator[Finding]:
    """One of PARTS, in a unit that only reads: others go on writing."""
    try:
        async with database.session() as session:
            faults = await PARTS[part].look(session)
    except CorruptionError as error:
        yield Finding(Level.ERROR, part, f"cannot be read: {error}", BACKUP)
        return
    for fault in faults:
        yield Finding(Level.ERROR, part, in_words(fault), REPAIR if fault.cure else fault.advice)


def in_words(fault: Fault) -> str:
    return f"{fault.table}: {fault.what} ({fault.rows} {'row' if fault.rows == 1 else 'rows'})"


async def repair(database: Database) -> tuple[Repaired, ...]:
    """Mend all that can be mended, or, if anything fails, nothing."""
    async with database.transaction() as session:
        mended = await mend(session)
    return tuple(Repaired(fault.table, fault.what, fault.rows, fault.cure or "") for fault in mended)
