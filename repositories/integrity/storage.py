"""What the database itself finds damaged: pages and indexes."""

from collections.abc import Sequence

from database import Session
from database.errors import CorruptionError
from database.inspection import damage, rebuild_damaged
from repositories.integrity.fault import Fault

BACKUP = "restore a backup: `python3 -m scripts restore FILE --force`"


async def look(session: Session) -> Sequence[Fault]:
    found = await damage(await session.core())
    cure = "rebuilt"
    return [
        Fault(one.place, one.what, one.count, cure if one.rebuildable else None, "" if one.rebuildable else BACKUP)
        for one in found
    ]


async def mend(session: Session) -> Sequence[Fault]:
    """Indexes are made again from their tables; a damaged table has nothing to be made from."""
    faults = [fault for fault in await look(session) if fault.cure]
    if faults:
        try:
            async with session.nested():
                await rebuild_damaged(await session.core())
        except CorruptionError:
            return []
    return faults
