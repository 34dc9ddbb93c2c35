"""A statement that is a unit by itself: kept without BEGIN and COMMIT, or wholly refused."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from benchmarks.calls import count_calls
from database import Database, Settings
from database.errors import DuplicateError, MissingReferenceError, NotConnectedError, TransactionError
from database.prepared import Statement

NUMBERS = sa.table("numbers", sa.column("n", sa.BigInteger()))
INSERT = sa.insert(NUMBERS).values(n=sa.bindparam("number")).returning(NUMBERS.c.n)

TABLE = "CREATE TABLE numbers (n BIGINT PRIMARY KEY REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED)"


async def fetch_alone(
    database: Database, statement: Statement, values: Mapping[str, object]
) -> Sequence[Sequence[Any]]:
    alone = database.alone()
    try:
        return await alone.fetch(statement, values)
    finally:
        await alone.rest()


async def kept(database: Database) -> list[object]:
    return [row["n"] for row in await database.fetch_all("SELECT n FROM numbers ORDER BY n")]


async def test_it_is_kept_in_one_round_trip(fresh_database: Database) -> None:
    await fresh_database.execute(TABLE)

    async def operation() -> None:
        await fresh_database.execute("DELETE FROM numbers")
        assert await fetch_alone(fresh_database, INSERT, {"number": 1}) == [[1]]

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
            await fetch_alone(fresh_database, INSERT, {"number": 1})
    await fresh_database.execute("INSERT INTO parents VALUES (1)")
    await fetch_alone(fresh_database, INSERT, {"number": 1})
    assert await kept(fresh_database) == [1]


async def test_who_listens_to_commits_hears_of_it(fresh_database: Database) -> None:
    await fresh_database.execute(TABLE)
    heard: list[sa.Connection] = []
    hear = heard.append
    event.listen(sa.Engine, "commit", hear)
    try:
        await fetch_alone(fresh_database, INSERT, {"number": 1})
    finally:
        event.remove(sa.Engine, "commit", hear)
    assert len(heard) == 1
    assert await kept(fresh_database) == [1]


async def test_it_is_kept_where_everything_goes_through_sqlalchemy(fresh_url: str) -> None:
    async with Database(Settings.model_validate({"database_url": fresh_url, "echo": True})) as database:
        await database.execute(TABLE)
        await fetch_alone(database, INSERT, {"number": 1})
        assert await kept(database) == [1]


async def test_in_a_sandbox_it_is_undone(fresh_database: Database) -> None:
    await fresh_database.execute(TABLE)
    async with fresh_database.sandbox():
        await fetch_alone(fresh_database, INSERT, {"number": 1})
        assert await kept(fresh_database) == [1]
    assert await kept(fresh_database) == []


async def test_in_a_unit_it_would_wait_for_ever(fresh_database: Database, backend: str) -> None:
    await fresh_database.execute(TABLE)
    async with fresh_database.transaction():
        if backend == "sqlite":
            with pytest.raises(TransactionError):
                await fetch_alone(fresh_database, INSERT, {"number": 1})
        else:
            await fetch_alone(fresh_database, INSERT, {"number": 1})


async def test_a_database_that_is_closed_is_told(fresh_url: str) -> None:
    with pytest.raises(NotConnectedError):
        await fetch_alone(Database(fresh_url), INSERT, {"number": 1})


async def test_of_many_the_connection_is_kept_unless_somebody_may_want_it(fresh_url: str, backend: str) -> None:
    for pool_size, kept_between in ((2, backend == "postgresql"), (1, False)):
        settings = Settings.model_validate({"database_url": fresh_url, "pool_size": pool_size, "max_overflow": 0})
        async with Database(settings) as database:
            await database.execute(f"CREATE TABLE IF NOT EXISTS {TABLE.removeprefix('CREATE TABLE ')}")
            pool = database._ready().writer.sync_engine.pool
            assert isinstance(pool, QueuePool)
            alone = database.alone()
            for number in range(3):
                assert await alone.fetch(INSERT, {"number": 10 * pool_size + number}) == [[10 * pool_size + number]]
                assert pool.checkedout() == kept_between
            with pytest.raises(DuplicateError):
                await alone.fetch(INSERT, {"number": 10 * pool_size})
            assert pool.checkedout() == 0
            await alone.fetch(INSERT, {"number": 10 * pool_size + 5})
            await alone.rest()
            assert pool.checkedout() == 0
            assert len(await kept(database)) == 4 * (3 - pool_size)


async def test_of_many_none_is_sent_where_the_database_was_closed(fresh_url: str) -> None:
    database = Database(fresh_url)
    async with database:
        await database.execute(TABLE)
        alone = database.alone()
        await alone.fetch(INSERT, {"number": 1})
    with pytest.raises(NotConnectedError):
        await alone.fetch(INSERT, {"number": 2})


@pytest.mark.parametrize("echo", [False, True])
async def test_of_many_each_is_kept_by_itself(fresh_url: str, *, echo: bool) -> None:
    async with Database(Settings.model_validate({"database_url": fresh_url, "echo": echo})) as database:
        await database.execute(TABLE)
        alone = database.alone()
        await alone.fetch(INSERT, {"number": 1})
        await alone.fetch(INSERT, {"number": 2})
        with pytest.raises(DuplicateError):
            await alone.fetch(INSERT, {"number": 2})
        await alone.fetch(INSERT, {"number": 3})
        await alone.rest()
        assert await kept(database) == [1, 2, 3]
        async with database.sandbox():
            await alone.fetch(INSERT, {"number": 4})
            await alone.fetch(INSERT, {"number": 5})
            assert await kept(database) == [1, 2, 3, 4, 5]
        assert await kept(database) == [1, 2, 3]
