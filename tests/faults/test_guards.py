"""The tests of the tests: each guard switched off, and the loss seen; switched on, and none."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from database import Database
from repositories import UnitOfWork
from repositories.message_record import MessageRecord
from repositories.search import MEMORIES, VectorQuery, build_indexes
from repositories.search.postgres import approximate_sql
from repositories.search.postgres_index import SEARCHES_WIDELY
from scripts.torture import contention
from scripts.torture.journal import Journal, compare
from scripts.torture.writers import Orders, new_conversations, write_unit
from tests.repositories.search.exact import store
from tests.support import on_postgresql, on_sqlite

pytestmark = pytest.mark.faults

MANY = {"processes": 3, "tasks": 3, "units": 8}
STEPS = 3 * 3 * 8


async def without_lock(database: Database, orders: Orders, conversation_id: UUID) -> Sequence[MessageRecord]:
    async def work(uow: UnitOfWork) -> Sequence[MessageRecord]:
        return [await contention.step_without_lock(uow, conversation_id)]

    return await UnitOfWork(database).run(work)


async def without_begin(database: Database, orders: Orders, conversation_id: UUID) -> Sequence[MessageRecord]:
    """Each statement of the step by itself, as the driver has it before somebody says BEGIN IMMEDIATE."""
    engines, bare = database._engines, copy(database)
    assert engines is not None
    through_sqlalchemy = replace(engines.driver, is_direct=False)  # type: ignore[type-var]  # each database's is one
    bare._engines = replace(engines, writer=engines.autocommit, driver=through_sqlalchemy)
    async with UnitOfWork(bare) as uow:
        await contention.raise_state(uow, conversation_id)
    return await write_unit(database, orders, conversation_id)


async def test_a_state_that_is_read_and_written_in_one_unit_loses_nothing(fresh_url: str, tmp_path: Path) -> None:
    row = await contention.step_states(fresh_url, tmp_path, **MANY, write=contention.step)
    assert (row.acknowledged, row.lost, row.doubled) == (STEPS, 0, 0)
    assert row.kept, row


@on_sqlite
async def test_without_begin_immediate_steps_are_lost(fresh_url: str, tmp_path: Path) -> None:
    row = await contention.step_states(fresh_url, tmp_path, **MANY, write=without_begin)
    assert row.lost > 0
    assert row.kept is False


@on_postgresql
async def test_without_the_lock_of_a_row_steps_are_lost(fresh_url: str, tmp_path: Path) -> None:
    row = await contention.step_states(fresh_url, tmp_path, **MANY, write=without_lock)
    assert row.lost > 0
    assert row.kept is False


async def test_a_journal_finds_what_is_missing_torn_and_doubled(fresh_url: str, tmp_path: Path) -> None:
    """Rows are taken away and changed behind the back of the store."""
    [talk] = await new_conversations(fresh_url, 1)
    orders, journal = Orders(fresh_url, tmp_path, [talk]), Journal(tmp_path)
    async with Database(fresh_url) as database:
        units = []
        for _ in range(4):
            with journal.call() as stored:
                stored += await write_unit(database, orders, talk)
            units.append([row.id for row in stored])
        assert (await compare(database, tmp_path)).whole

        await database.execute("DELETE FROM messages WHERE id = :id", {"id": units[0][0]})
        other = await database.fetch_value("SELECT content FROM messages WHERE id = :id", {"id": units[1][0]})
        await database.execute("UPDATE messages SET content = :text WHERE id = :id", {"text": other, "id": units[1][1]})
        await database.execute("UPDATE messages SET position = 99 WHERE id = :id", {"id": units[2][0]})
        journal.failed(ValueError())
        verdict = await compare(database, tmp_path)
    journal.close()
    assert (verdict.acknowledged, verdict.lost, verdict.doubled, verdict.torn) == (8, 3, 1, 2)
    assert (verdict.miscounted, verdict.errors) == (1, {"ValueError": 1})


@on_postgresql
async def test_without_a_scan_that_goes_on_few_rows_hide_behind_nearer_ones(fresh_database: Database) -> None:
    random, vector = np.random.default_rng(3), np.ones(8, dtype=np.float32)
    async with UnitOfWork(fresh_database) as uow:
        space = await uow.embedding_spaces.create(name="crowded", dimensions=vector.size)
        near = vector + 0.01 * random.standard_normal((2_000, vector.size)).astype(np.float32)
        await store(uow.session, space, near, "bob")
        await store(uow.session, space, random.standard_normal((20, vector.size)).astype(np.float32), "ada")
    await build_indexes(fresh_database, space)
    query = VectorQuery(MEMORIES, space, vector, 10, {"owner_id": "ada"}, "approximate")
    values = {"owner_id": "ada", "vector": vector, "limit": 10, "candidates": 10}
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        connection = await uow.session.core()
        # So that the planner goes through the index, as it would among many more rows.
        for setting in ("enable_sort", "enable_hashjoin", "enable_bitmapscan"):
            await connection.exec_driver_sql(f"SET LOCAL {setting} = off")
        await connection.exec_driver_sql("SET LOCAL hnsw.iterative_scan = off")
        # With what pgvector's own setting meets at once.
        once = approximate_sql(query).replace(SEARCHES_WIDELY, "true")
        found = await connection.execute(query.statement(once, "vector"), values)
        assert len(found.all()) < 10
        assert len(await uow.memories.recall(vector, space=space, mode="approximate")) == 10
