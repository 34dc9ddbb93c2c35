"""Many writers: no update is lost and nobody sees a lock, in one process and in several."""

import asyncio

import pytest

from database import Database
from database.errors import PoolTimeoutError
from database.settings import Settings
from tests.processes import in_processes
from tests.support import on_sqlite

TASKS = 20
TURNS = 5


async def make_counter(database: Database) -> None:
    await database.execute("CREATE TABLE counters (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)")
    await database.execute("INSERT INTO counters VALUES (1, 0)")


async def counted(database: Database) -> object:
    return await database.fetch_value("SELECT value FROM counters")


async def read_modify_write(database: Database, lock: str) -> None:
    async with database.transaction() as session:
        connection = await session.core()
        value = (await connection.exec_driver_sql(f"SELECT value FROM counters {lock}")).scalar_one()
        await asyncio.sleep(0)
        await connection.exec_driver_sql(f"UPDATE counters SET value = {value + 1}")


async def work_in_own_process(url: str) -> None:
    async with Database(url) as database:

        async def work() -> None:
            for _ in range(TURNS):
                await read_modify_write(database, "")

        await asyncio.gather(*(work() for _ in range(TASKS // 2)))


async def test_no_update_is_lost(fresh_database: Database, backend: str) -> None:
    # PostgreSQL needs the row's lock for it; on SQLite a transaction that writes is alone from its beginning.
    lock = "FOR UPDATE" if backend == "postgresql" else ""
    await make_counter(fresh_database)

    async def work() -> None:
        for _ in range(TURNS):
            await read_modify_write(fresh_database, lock)

    await asyncio.gather(*(work() for _ in range(TASKS)))
    assert await counted(fresh_database) == TASKS * TURNS


@on_sqlite
async def test_writers_get_their_turn_in_order(fresh_database: Database) -> None:
    order: list[int] = []

    async def work(number: int) -> None:
        async with fresh_database.transaction():
            order.append(number)

    async with fresh_database.transaction():
        tasks = []
        for number in range(TASKS):
            tasks.append(asyncio.create_task(work(number)))
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == list(range(TASKS))


@pytest.mark.slow
@on_sqlite
async def test_no_update_is_lost_between_processes(fresh_database: Database, fresh_url: str) -> None:
    await make_counter(fresh_database)
    await in_processes(work_in_own_process, [(fresh_url,), (fresh_url,)])
    assert await counted(fresh_database) == 2 * (TASKS // 2) * TURNS


async def test_readers_go_on_while_a_writer_writes(fresh_database: Database) -> None:
    await make_counter(fresh_database)
    async with fresh_database.transaction() as session:
        connection = await session.core()
        await connection.exec_driver_sql("UPDATE counters SET value = 7")
        values = await asyncio.gather(*(counted(fresh_database) for _ in range(TASKS)))
    assert values == [0] * TASKS
    assert await counted(fresh_database) == 7


async def test_who_finds_no_connection_in_time_is_told_so(fresh_url: str) -> None:
    settings = Settings.model_validate(
        {"database_url": fresh_url, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05}
    )
    async with Database(settings) as database:
        await make_counter(database)

        async def second() -> None:
            async with database.transaction():
                pass

        async with database.transaction():
            with pytest.raises(PoolTimeoutError):
                await asyncio.create_task(second())
        await second()
