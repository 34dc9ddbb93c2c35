"""Many writers of a few processes at the same rows: nobody sees a lock, no place is taken twice, no step is lost."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

from database import Database
from models import new_id
from repositories import UnitOfWork
from repositories.message_record import MessageRecord
from scripts.torture.journal import compare, text_of
from scripts.torture.kills import is_whole
from scripts.torture.report import Row, kind_of, row_of
from scripts.torture.writers import Crew, Orders, WriteUnit, new_conversations, write_unit

CROWD = "50 writers at once"
STEPS = "read a state, write it"
STATE = "steps"


async def crowd(url: str, folder: Path, *, processes: int = 5, tasks: int = 10, units: int) -> Row:
    """`units` of each task, all in two conversations. Kept: no error reaches a writer."""
    orders = Orders(url, folder, await new_conversations(url, 2), tasks=tasks, units=units)
    return await crowded(CROWD, orders, processes, write_unit)


async def crowded(fault: str, orders: Orders, processes: int, write: WriteUnit) -> Row:
    async with Crew(orders, processes, write) as crew:
        finished = await crew.finish()
    async with orders.database() as database:
        verdict = await compare(database, orders.folder)
        whole = await is_whole(database)
    writers = processes * orders.tasks
    rounds = writers * (orders.units or 0)
    return row_of(fault, kind_of(orders.url), verdict, rounds=rounds, hit=writers, kept=finished and whole)


async def step_states(
    url: str, folder: Path, *, processes: int = 5, tasks: int = 4, units: int, write: WriteUnit
) -> Row:
    """A number in one conversation's state is read and written one higher; each step is a message too, in its unit.

    Kept: the number is that of the acknowledged steps.
    """
    conversations = await new_conversations(url, 1)
    async with Database(url) as database, UnitOfWork(database) as uow:
        await uow.states.set(conversations[0], STATE, 0)
    orders = Orders(url, folder, conversations, tasks=tasks, units=units, parts=1)
    row = await crowded(STEPS, orders, processes, write)
    async with Database(url) as database, UnitOfWork(database) as uow:
        final = (await uow.states.get(conversations[0], STATE)).state_value
    assert isinstance(final, int)
    lost = row.acknowledged - final
    return replace(
        row, lost=row.lost + max(lost, 0), doubled=row.doubled + max(-lost, 0), kept=bool(row.kept) and not lost
    )


async def step(database: Database, orders: Orders, conversation_id: UUID) -> Sequence[MessageRecord]:
    """One step, as an application takes it: the conversation's row is locked before the state is read."""

    async def work(uow: UnitOfWork) -> Sequence[MessageRecord]:
        await uow.conversations.lock(conversation_id)
        return [await step_without_lock(uow, conversation_id)]

    return await UnitOfWork(database).run(work, retries=orders.retries, deadline=orders.deadline)


async def step_without_lock(uow: UnitOfWork, conversation_id: UUID) -> MessageRecord:
    await raise_state(uow, conversation_id)
    return await uow.messages.append(conversation_id, id=new_id(), role="user", content=text_of(uuid4(), 0, 1))


async def raise_state(uow: UnitOfWork, conversation_id: UUID) -> None:
    state = await uow.states.get(conversation_id, STATE)
    assert isinstance(state.state_value, int)
    await uow.states.set(conversation_id, STATE, state.state_value + 1)
