"""Vectors that no search can compare: of another width than their space, or without a direction."""

from collections.abc import Sequence

import sqlalchemy as sa

from database import Session
from models import Embedding, EmbeddingSpace, MemoryEmbedding, MessageEmbedding
from repositories.integrity.fault import Fault
from repositories.ownership import table_of

SPACES = table_of(EmbeddingSpace)
BESIDE = (table_of(MemoryEmbedding), table_of(MessageEmbedding))
"""Vectors that stand apart from their texts, and can go without them."""

REMOVED = "removed; `python3 -m scripts reembed --all` makes them again"
STORE_AGAIN = "store these sources again: their text is in the same row, and stays"

FINITE = 1e300
"""More than the length of any vector of single precision."""


def _wrong_width(table: sa.Table) -> sa.ColumnElement[bool]:
    width = sa.select(SPACES.c.dimensions).where(SPACES.c.id == table.c.embedding_space_id).scalar_subquery()
    return sa.func.vector_dims(table.c.embedding) != width


def _no_direction(table: sa.Table) -> sa.ColumnElement[bool]:
    length = sa.func.coalesce(sa.func.vector_norm(table.c.embedding), 0.0)
    return sa.not_((length > 0.0) & (length < FINITE))


FAULTS = {"the vector has not the width of its space": _wrong_width, "the vector has no direction": _no_direction}


async def look(session: Session) -> Sequence[Fault]:
    """One statement for each table, which reads all of it: the database tells width and length by itself."""
    connection = await session.core()
    found = []
    for table in (*BESIDE, table_of(Embedding)):
        narrow, flat = (is_wrong(table) for is_wrong in FAULTS.values())
        wide = sa.func.coalesce(narrow, sa.false())
        counts = (sa.func.count().filter(wide), sa.func.count().filter(flat & ~wide))
        rows = (await connection.execute(sa.select(*counts).select_from(table))).one()
        cure, advice = (REMOVED, "") if table in BESIDE else (None, STORE_AGAIN)
        found += [
            Fault(table.name, what, count, cure, advice) for what, count in zip(FAULTS, rows, strict=True) if count
        ]
    return found


async def mend(session: Session) -> Sequence[Fault]:
    connection = await session.core()
    found = [fault for fault in await look(session) if fault.cure]
    for table in BESIDE:
        if any(fault.table == table.name for fault in found):
            await connection.execute(sa.delete(table).where(sa.or_(*(wrong(table) for wrong in FAULTS.values()))))
    return found
