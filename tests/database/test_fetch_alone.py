"""A statement that is a unit by itself: kept without BEGIN and COMMIT, or wholly refused."""

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from benchmarks.calls import count_calls
from database import Database, Settings
from database.errors import MissingReferenceError, NotConnectedError, TransactionError

NUMBERS = sa.table("numbers", sa.column("n", sa.BigInteger()))
INSERT = sa.insert(NUMBERS).values(n=sa.bindparam("number")).returning(NUMBERS.c.n)

TABLE = "CREATE TABLE numbers (n BIGINT PRIMARY KEY REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED)"


async def kept(database: Database) -> list[object]:
    return [row["n"] for row in await database.fetch_all("SELECT n FROM numbers ORDER BY n")]


async def test_it_is_kept_in_one_round_trip(fresh_database: Database) -> None:
    await fresh_database.execute(TABLE)

    async def operation() -> None:
        await fresh_database.execute("DELETE FROM numbers")
        assert await fresh_database.fetch_alone(INSERT, {"number": 1}) == [[1]]

    both = await count_calls(operation)

    async def without() -> None:
        await fresh_database.execute("DELETE FROM numbers")

    other = await count_calls(without)
    assert (both.statements - other.statements, both.round_trips - other.round_trips) == (1, 1)
    await operation()
    assert await kept(fresh_database) == [1]


async def test_what_is_refused_at_its_end_leaves_nothing(fresh_database: Database) -> None:
    await fresh_database.execute("CREATE TABLE parents (id BIGINT PRIMARY KEY)")
    await fresh_database.execute(
        "CREATE TABLE numbers (n BIGINT REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)"
    )
    for _ in range(2):
        with pytest.raises(MissingReferenceError):
            await fresh_database.fetch_alone(INSERT, {"number": 1})
    await fresh_database.execute("INSERT INTO parents VALUES (1)")
    await fresh_database.fetch_alone(INSERT, {"number": 1})
    assert await kept(fresh_database) == [1]


async def test_who_listens_to_commits_hears_of_it(fresh_database: Database) -> None:
    await fresh_database.execute(TABLE)
    heard: list[sa.Connection] = []
    hear = heard.append
    event.listen(sa.Engine, "commit", hear)
    try:
        await fresh_database.fetch_alone(INSERT, {"number": 1})
    finally:
        event.remove(sa.Engine, "commit", hear)
    assert len(heard) == 1
    assert await kept(fresh_database) == [1]


async def test_it_is_kept_where_everything_goes_through_sqlalchemy(fresh_url: str) -> None:
    async with Database(Settings.model_validate({"database_url": fresh_url, "echo": True})) as database:
        await database.execute(TABLE)
        await database.fetch_alone(INSERT, {"number": 1})
        assert await kept(database) == [1]


async def test_in_a_sandbox_it_is_undone(fresh_database: Database) -> None:
    await fresh_database.execute(TABLE)
    async with fresh_database.sandbox():
        await fresh_database.fetch_alone(INSERT, {"number": 1})
        assert await kept(fresh_database) == [1]
    assert await kept(fresh_database) == []


async def test_in_a_unit_it_would_wait_for_ever(fresh_database: Database, backend: str) -> None:
    await fresh_database.execute(TABLE)
    async with fresh_database.transaction():
        if backend == "sqlite":
            with pytest.raises(TransactionError):
                await fresh_database.fetch_alone(INSERT, {"number": 1})
        else:
            await fresh_database.fetch_alone(INSERT, {"number": 1})


async def test_a_database_that_is_closed_is_told(fresh_url: str) -> None:
    with pytest.raises(NotConnectedError):
        await Database(fresh_url).fetch_alone(INSERT, {"number": 1})
