"""Whether the rows agree with one another, and the mending of what can be computed from the rest.

Each part looks at one kind of truth, by a bounded number of statements, and says what is wrong in numbers of rows,
never in contents. Every comparison is one statement or one snapshot, so a look is exact while others write.
"""

from collections.abc import Sequence

from database import Session
from repositories.integrity import counters, orphans, positions, storage, text_index, vectors
from repositories.integrity.fault import Fault, Part
from repositories.integrity.storage import BACKUP

__all__ = ["BACKUP", "PARTS", "Fault", "Part", "mend"]

PARTS: dict[str, Part] = {
    "storage": storage,
    "text index": text_index,
    "orphans": orphans,
    "positions": positions,
    "counters": counters,
    "embeddings": vectors,
}
"""In the order in which they are mended: rows are removed through a text index that is right, and counted after."""


async def mend(session: Session) -> Sequence[Fault]:
    """Mend all that can be mended, in the caller's transaction; what was mended. The rest is still found by `look`."""
    return [fault for part in PARTS.values() for fault in await part.mend(session)]
