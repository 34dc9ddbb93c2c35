"""Connections that break at COMMIT: whether it happened is not known, and the same call is made again."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

from database import Database
from database.errors import DuplicateError
from repositories import UnitOfWork
from repositories.message_record import MessageRecord
from scripts.torture.journal import Journal, compare
from scripts.torture.proxy import Cut, Proxy
from scripts.torture.report import Row, row_of
from scripts.torture.writers import Orders, WriteUnit, new_conversations, write_unit


async def cut_commits(url: str, folder: Path, when: Cut, *, count: int, write: WriteUnit = write_unit) -> Row:
    """Each message's first COMMIT is cut; then its id is sent again, and once with another text.

    Kept: as many rows as ids, the same row and position returned each time, the other text refused.
    """
    [conversation] = await new_conversations(url, 1)
    orders = Orders(url, folder, [conversation], parts=1)
    journal, wrong = Journal(folder), 0
    async with Proxy(url) as proxy, Database(proxy.url) as database:
        for _ in range(count):
            proxy.cut(when)
            with journal.call() as stored:
                stored += await write(database, orders, conversation)
            wrong += await _again(database, conversation, stored) != [True, True]
    journal.close()
    async with Database(url) as database:
        verdict = await compare(database, folder)
    same = wrong == 0 and verdict.unacknowledged == 0
    note = "" if same else f"{wrong} not the same when sent again"
    fault = f"cut {when} COMMIT"
    return row_of(fault, "postgresql", verdict, rounds=count, hit=proxy.cuts, kept=same, note=note)


async def _again(database: Database, conversation_id: UUID, stored: Sequence[MessageRecord]) -> list[bool]:
    """Whether the same id gives the same row, and whether it is refused with another text."""
    [first] = stored

    async def send(text: str) -> MessageRecord:
        async def work(uow: UnitOfWork) -> MessageRecord:
            return await uow.messages.append(conversation_id, id=first.id, role="user", content=text)

        return await UnitOfWork(database).run(work, idempotent=True)

    again = await send(first.content)
    try:
        await send(f"{uuid4()} 0 1")
        refused = False
    except DuplicateError:
        refused = True
    return [(again.id, again.position) == (first.id, first.position), refused]
