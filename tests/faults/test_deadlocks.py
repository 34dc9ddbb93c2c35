"""Units that lock in any order: each of them is done in the end, once, and the sums are right."""

import asyncio
import random

import pytest
import sqlalchemy as sa

from database import Database, Session

pytestmark = pytest.mark.faults

UNITS, ACCOUNTS, EACH = 60, 5, 100
PATIENT = 120
"""Seconds."""


async def test_transfers_in_any_order(fresh_database: Database, backend: str) -> None:
    await fresh_database.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, money INTEGER NOT NULL)")
    await fresh_database.execute("CREATE TABLE transfers (id INTEGER PRIMARY KEY)")
    await fresh_database.execute_many(
        "INSERT INTO accounts VALUES (:id, :money)", ({"id": id, "money": EACH} for id in range(ACCOUNTS))
    )
    dice, hooks, attempts = random.Random(1), [0] * UNITS, [0] * UNITS
    expected = [EACH] * ACCOUNTS

    async def transfer(number: int, giver: int, taker: int) -> int:
        def hook() -> None:
            hooks[number] += 1

        async def work(session: Session) -> int:
            attempts[number] += 1
            session.on_commit(hook)
            connection = await session.core()
            if backend == "postgresql":
                await connection.execute(sa.text("SET LOCAL deadlock_timeout = '20ms'"))
            for id, change in ((giver, -1), (taker, 1)):
                await connection.execute(sa.text(f"UPDATE accounts SET money = money + {change} WHERE id = {id}"))
                await asyncio.sleep(0.002)
            await connection.execute(sa.text(f"INSERT INTO transfers VALUES ({number})"))
            return number

        return await fresh_database.run(work, retries=200, deadline=PATIENT)

    pairs = [dice.sample(range(ACCOUNTS), 2) for _ in range(UNITS)]
    for giver, taker in pairs:
        expected[giver] -= 1
        expected[taker] += 1
    async with asyncio.timeout(PATIENT):
        done = await asyncio.gather(*(transfer(number, *pair) for number, pair in enumerate(pairs)))
    assert done == [*range(UNITS)]
    assert hooks == [1] * UNITS
    assert (await fresh_database.fetch_all("SELECT money FROM accounts ORDER BY id")).column("money") == expected
    assert await fresh_database.fetch_value("SELECT count(*) FROM transfers") == UNITS
    # On PostgreSQL the fault was there; SQLite lets one writer in at a time.
    assert (sum(attempts) > UNITS) is (backend == "postgresql")
