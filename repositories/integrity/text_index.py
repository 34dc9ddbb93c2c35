"""The words of messages and memories, as search finds them, against the rows."""

from collections.abc import Sequence

from database import Session
from repositories.integrity.fault import Fault
from repositories.search.text_index import text_index_of

CURE = "the index is built again"


async def look(session: Session) -> Sequence[Fault]:
    connection = await session.core()
    found = await text_index_of(connection.dialect.name).disagreements(connection)
    return [Fault(one.table, one.what, one.rows, CURE) for one in found]


async def mend(session: Session) -> Sequence[Fault]:
    faults = await look(session)
    connection = await session.core()
    index = text_index_of(connection.dialect.name)
    for table in dict.fromkeys(fault.table for fault in faults):
        await index.rebuild(connection, table)
    return faults
