"""Writers in processes of their own, as an application has them: they go on whatever happens to the server."""

import asyncio
import logging
import multiprocessing
import random
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeAlias
from uuid import UUID, uuid4

from pydantic import SecretStr

from database import Database
from database.errors import StoreError
from database.retry import DEADLINE, RETRIES
from database.settings import load_settings
from models import new_id
from repositories import UnitOfWork
from repositories.message_record import MessageRecord
from scripts.torture.journal import Journal, grown, text_of

STOP = "stop"
PATIENCE = 120.0
"""Seconds after which writers that do not go on, or do not end, are given up."""

# Forked from one that has imported what takes long, and that has no connection or thread to inherit.
_SERVER = multiprocessing.get_context("forkserver")


@dataclass(frozen=True, slots=True)
class Orders:
    """What a process of writers shall do: so many `tasks`, each of which writes units one after the other.

    They end after so many `units`, or when the folder has a file named `stop`.
    """

    url: str
    folder: Path
    conversations: Sequence[UUID]
    tasks: int = 4
    units: int | None = None
    parts: int = 2
    retries: int = RETRIES
    deadline: float = DEADLINE
    settings: Mapping[str, object] = field(default_factory=dict)

    def database(self) -> Database:
        url = {"database_url": SecretStr(self.url), "database_read_url": None}
        return Database(load_settings().model_copy(update=url | dict(self.settings)))


WriteUnit: TypeAlias = Callable[[Database, Orders, UUID], Awaitable[Sequence[MessageRecord]]]


async def write_unit(database: Database, orders: Orders, conversation_id: UUID) -> Sequence[MessageRecord]:
    """The ids are made before the work: done again, it finds what it has stored."""
    unit, ids = uuid4(), [new_id() for _ in range(orders.parts)]

    async def work(uow: UnitOfWork) -> Sequence[MessageRecord]:
        return [
            await uow.messages.append(conversation_id, id=id, role="user", content=text_of(unit, part, orders.parts))
            for part, id in enumerate(ids)
        ]

    return await UnitOfWork(database).run(work, retries=orders.retries, deadline=orders.deadline, idempotent=True)


async def new_conversations(url: str, count: int) -> Sequence[UUID]:
    async with Database(url) as database, UnitOfWork(database) as uow:
        return [(await uow.conversations.create(title=f"number {number}")).id for number in range(count)]


class Crew:
    """Processes that all have the same orders: `async with Crew(orders, 3) as crew:`; at the end they are stopped."""

    def __init__(self, orders: Orders, processes: int, write: WriteUnit = write_unit) -> None:
        self._orders, self._write = orders, write
        self._processes = [self._started() for _ in range(processes)]

    async def __aenter__(self) -> "Crew":
        return self

    async def __aexit__(self, *error: object) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    def kill_one(self) -> bool:
        """kill -9 of one of them, for which another starts; whether it was at work."""
        place = random.randrange(len(self._processes))
        process = self._processes[place]
        at_work = process.is_alive()
        process.kill()
        process.join()
        self._processes[place] = self._started()
        return at_work

    async def go_on(self) -> bool:
        """Wait until more is acknowledged than now; False: that took too long."""
        before = grown(self._orders.folder)
        return await _until(lambda: grown(self._orders.folder) > before)

    async def finish(self) -> bool:
        """Wait until all have ended by themselves, and well."""
        ended = await _until(lambda: not any(process.is_alive() for process in self._processes))
        return ended and all(process.exitcode == 0 for process in self._processes)

    async def stop(self) -> bool:
        """Have them end what they are at; False: one does not."""
        (self._orders.folder / STOP).touch()
        return await self.finish()

    def _started(self) -> BaseProcess:
        process = _SERVER.Process(target=_main, args=(self._orders, self._write), daemon=True)
        process.start()
        return process


def prepare_forks() -> None:
    """Import once what every process of writers needs."""
    _SERVER.set_forkserver_preload(["repositories", "scripts.torture.writers"])


def _main(orders: Orders, write: WriteUnit) -> None:
    # Ctrl-C is for the command, which ends its writers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is slow or done again here is no news.
    logging.disable(logging.WARNING)
    asyncio.run(_work(orders, write))


async def _work(orders: Orders, write: WriteUnit) -> None:
    journal = Journal(orders.folder)
    async with orders.database() as database:
        await asyncio.gather(*(_writer(database, orders, journal, write) for _ in range(orders.tasks)))


async def _writer(database: Database, orders: Orders, journal: Journal, write: WriteUnit) -> None:
    done = 0
    while (orders.units is None or done < orders.units) and not (orders.folder / STOP).exists():
        try:
            with journal.call() as stored:
                stored += await write(database, orders, random.choice(orders.conversations))
        except StoreError as error:
            journal.failed(error)
            await asyncio.sleep(0.05)
        done += 1


async def _until(condition: Callable[[], bool]) -> bool:
    for _ in range(int(PATIENCE / 0.02)):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return False
