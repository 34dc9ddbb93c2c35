"""Shutdown: `close()` beside running units ends, and leaves no thread, no task, no socket; a loop of its own."""

import asyncio
import gc
import threading
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from database import Database
from database.errors import StoreError, WrongLoopError
from database.sqlite_connection import StoppableConnection
from repositories import UnitOfWork
from tests.processes import run_python
from tests.support import on_sqlite

pytestmark = pytest.mark.faults

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
UNITS, CYCLES = 10, 100
PATIENT, SETTLING = 60, 5
"""Seconds."""

ROOT = Path(__file__).resolve().parents[2]


def sockets() -> set[str]:
    """The open files and sockets of this process."""
    found = set()
    for path in Path("/proc/self/fd").glob("*"):
        try:
            found.add(f"{path.name} {path.readlink()}")
        except FileNotFoundError:
            continue
    return found


async def becomes(condition: Callable[[], bool]) -> bool:
    """Threads and transports end a little after they were told to, on a busy machine later; what leaks stays."""
    for _ in range(SETTLING * 100):
        if condition():
            return True
        await asyncio.sleep(0.01)
    return False


async def test_close_beside_running_units(fresh_url: str) -> None:
    """A unit that runs ends by itself, as it would have; its connection is closed and not put back."""
    threads, files, tasks = set(threading.enumerate()), sockets(), asyncio.all_tasks()
    database = Database(fresh_url)
    await database.connect()
    async with UnitOfWork(database) as uow:
        talk = (await uow.conversations.create(title="busy")).id
    entered, let_go, kept = asyncio.Semaphore(0), asyncio.Event(), 0

    async def reading() -> object:
        async with database.session() as session:
            await (await session.core()).execute(sa.text("SELECT 1"))
            entered.release()
            await let_go.wait()
            return (await (await session.core()).execute(sa.text("SELECT 1"))).scalar_one()

    async def writing() -> int:
        async with UnitOfWork(database) as uow:
            record = await uow.messages.append(talk, role="user", content="hello")
            entered.release()
            await let_go.wait()
            return record.position

    units = [asyncio.create_task(reading()) for _ in range(UNITS - 1)]
    last = asyncio.create_task(writing())
    async with asyncio.timeout(PATIENT):
        for _ in range(UNITS):
            await entered.acquire()
        await database.close()
        assert not database.is_connected
        let_go.set()
        assert await asyncio.gather(*units) == [1] * (UNITS - 1)
        kept = await last
    gc.collect()
    assert await becomes(lambda: set(threading.enumerate()) == threads and sockets() == files)
    assert asyncio.all_tasks() == tasks
    async with Database(fresh_url) as database:
        assert await database.fetch_value("SELECT count(*) FROM messages") == kept == 1


async def test_close_after_units_that_were_cancelled_at_once(fresh_url: str) -> None:
    threads, files = set(threading.enumerate()), sockets()
    async with asyncio.timeout(PATIENT), Database(fresh_url) as database:
        units = [asyncio.create_task(database.fetch_value(ENDLESS)) for _ in range(UNITS)]
        await asyncio.sleep(1.5)
        for unit in units:
            unit.cancel()
        await asyncio.wait(units)
        assert all(unit.cancelled() for unit in units)
    assert await becomes(lambda: set(threading.enumerate()) == threads and sockets() == files)


async def test_many_cycles_leak_nothing(fresh_url: str) -> None:
    database = Database(fresh_url)
    threads, files, tasks = set(threading.enumerate()), sockets(), asyncio.all_tasks()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for cycle in range(CYCLES):
            await database.connect()
            assert await database.fetch_value("SELECT 1") == 1
            if cycle % 10 == 0:
                await asyncio.gather(*(database.table_exists("messages") for _ in range(3)))
            await database.close()
        gc.collect()
        assert await becomes(lambda: set(threading.enumerate()) == threads and sockets() == files)
    assert [
        warning.message for warning in seen if issubclass(warning.category, ResourceWarning | sa.exc.SAWarning)
    ] == []
    assert asyncio.all_tasks() == tasks


def in_another_loop(database: Database) -> StoreError | None:
    async def use() -> None:
        await database.fetch_value("SELECT 1")

    try:
        asyncio.run(use())
    except StoreError as error:
        return error
    return None


async def test_another_loop_is_refused_and_harms_nothing(fresh_database: Database) -> None:
    await fresh_database.fetch_value("SELECT 1")
    errors = await asyncio.gather(*(asyncio.to_thread(in_another_loop, fresh_database) for _ in range(4)))
    assert {type(error) for error in errors} == {WrongLoopError}
    assert await fresh_database.fetch_value("SELECT 1") == 1


FORGETFUL = """
import asyncio, sys
from database import Database
from repositories import UnitOfWork

async def main():
    database = Database(sys.argv[1])
    await database.connect()
    async with UnitOfWork(database) as uow:
        await uow.conversations.create(title="kept")
    async with database.session() as session:
        await session.core()
    print("done", flush=True)

asyncio.run(main())
"""


async def test_a_process_that_forgets_to_close_ends(fresh_url: str) -> None:
    async with asyncio.timeout(PATIENT):
        ran = await asyncio.to_thread(run_python, FORGETFUL, fresh_url, folder=ROOT)
    assert (ran.returncode, ran.stdout) == (0, "done\n")
    async with Database(fresh_url) as database:
        assert await database.fetch_value("SELECT count(*) FROM conversations") == 1


def open_connections() -> list[StoppableConnection]:
    return [thing for thing in gc.get_objects() if isinstance(thing, StoppableConnection)]


@on_sqlite
async def test_a_time_limit_does_not_keep_a_closed_connection(fresh_url: str) -> None:
    """The timer that watches statements holds no connection, for as long as it may run."""
    before = weakref.WeakSet(open_connections())
    async with Database(fresh_url) as database:
        await database.fetch_value("SELECT 1")
        opened = weakref.WeakSet(each for each in open_connections() if each not in before)
        assert opened
    gc.collect()
    assert await becomes(lambda: not opened)
