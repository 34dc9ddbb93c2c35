"""Places in an order: from 1 on, and no two alike. A gap is no fault: what was deleted leaves one."""

from collections.abc import Sequence

import sqlalchemy as sa

from database import Session
from models import Message, Step
from repositories.integrity.fault import Fault
from repositories.ownership import table_of

ORDERED = {table_of(Message): "conversation_id", table_of(Step): "run_id"}

ADVICE = "which place is right is not known here: restore a backup, or number them by hand"


async def look(session: Session) -> Sequence[Fault]:
    connection = await session.core()
    found = []
    for table, parent in ORDERED.items():
        low = sa.select(sa.func.count()).select_from(table).where(table.c.position < 1)
        alike = (
            sa.select((sa.func.count() - 1).label("more"))
            .select_from(table)
            .group_by(table.c[parent], table.c.position)
            .having(sa.func.count() > 1)
            .subquery()
        )
        row = (
            await connection.execute(
                sa.select(
                    low.scalar_subquery().label("low"),
                    sa.select(sa.cast(sa.func.coalesce(sa.func.sum(alike.c.more), 0), sa.BigInteger))
                    .scalar_subquery()
                    .label("doubled"),
                )
            )
        ).one()
        if row.low:
            found.append(Fault(table.name, "position is less than 1", row.low, advice=ADVICE))
        if row.doubled:
            found.append(Fault(table.name, f"position is taken twice in its {parent}", row.doubled, advice=ADVICE))
    return found


async def mend(session: Session) -> Sequence[Fault]:
    """Nothing: the order of a talk cannot be computed."""
    return ()
