"""Overload: who finds no connection in time is told so, and when the load is gone everything is as before."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from database import Database, Session, Settings
from database.errors import PoolTimeoutError

pytestmark = pytest.mark.faults

POOL, TASKS = 3, 30
PATIENT = 60
"""Seconds: far more than the pool's timeout, and less than for ever."""

Opens = Callable[[Database], AbstractAsyncContextManager[Session]]


def reading(database: Database) -> AbstractAsyncContextManager[Session]:
    return database.session()


def writing(database: Database) -> AbstractAsyncContextManager[Session]:
    return database.transaction()


def checked_out(database: Database) -> int:
    engines = database._engines
    assert engines is not None
    return sum(int(engine.pool.checkedout()) for engine in (engines.writer, engines.reader))  # type: ignore[attr-defined,misc]  # a pool that counts


@pytest.mark.parametrize("opens", [reading, writing])
async def test_more_tasks_than_connections(fresh_url: str, backend: str, opens: Opens) -> None:
    settings = Settings.model_validate(
        {"database_url": fresh_url, "pool_size": POOL, "max_overflow": 0, "pool_timeout": 0.5}
    )
    at_once = 1 if backend == "sqlite" and opens is writing else POOL
    let_go, holding = asyncio.Event(), 0

    async def hold(database: Database) -> None:
        nonlocal holding
        async with opens(database) as session:
            await session.connection()
            holding += 1
            await let_go.wait()

    async def use(database: Database) -> None:
        async with opens(database) as session:
            await (await session.connection()).exec_driver_sql("SELECT 1")

    async with asyncio.timeout(PATIENT), Database(settings) as database:
        for _ in range(2):
            let_go.clear()
            holding = 0
            tasks = [asyncio.create_task(hold(database)) for _ in range(TASKS)]
            refused = 0
            while refused < TASKS - at_once:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                assert {type(task.exception()) for task in done} == {PoolTimeoutError}
                refused += len(done)
                tasks = [task for task in tasks if task not in done]
            assert holding == at_once == len(tasks) == checked_out(database) / (1 if backend == "sqlite" else 2)
            let_go.set()
            await asyncio.gather(*tasks)
            assert checked_out(database) == 0
            # Nobody is refused when each is short.
            await asyncio.gather(*(use(database) for _ in range(TASKS)))
            assert checked_out(database) == 0
