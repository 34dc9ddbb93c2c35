"""What a process holds of a text index on SQLite says what the index itself says, whoever wrote meanwhile."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database import Database, migrations, sqlite_held, sqlite_texts
from database.sqlite_functions import register
from database.sqlite_texts import HeldTexts, Texts
from repositories import UnitOfWork
from repositories.search import hybrid
from tests.repositories.search.exact import clustered, store
from tests.support import Copies, on_sqlite

TABLE = "conversation_memory"
DIMENSIONS = 16

BEFORE = "1c6c00141f79"
"""The revision before the text index."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty rows are wide, and three are many."""
    monkeypatch.setattr(hybrid, "NARROW", 20)
    monkeypatch.setattr(sqlite_texts, "LOOKED_UP", 2)


@contextmanager
def reader(database: Database) -> Iterator[tuple[sqlite3.Connection, HeldTexts]]:
    """A connection of its own, and what its process holds for it."""
    with closing(register(sqlite3.connect(str(database.url.database)))) as connection:
        held = sqlite_held.held_for(connection)
        assert held is not None
        yield connection, held.texts


def told(texts: Texts) -> list[tuple[int, int, str]]:
    ids: Sequence[str] = texts.ids.astype(str).tolist()
    return list(zip(texts.numbers.tolist(), texts.sizes.tolist(), ids, strict=True))


def assert_held(connection: sqlite3.Connection, held: HeldTexts) -> None:
    """Of the numbers in the list of a word that all texts have, and of one that is in no list."""
    sql = f"SELECT rowid FROM {TABLE}_fts WHERE {TABLE}_fts MATCH 'x'"
    numbers = np.array([*sorted(row[0] for row in connection.execute(sql)), 10**9], dtype=np.int64)
    sql = f"SELECT n.number, length(m.content), m.id FROM {TABLE} AS m JOIN {TABLE}_search AS n ON n.row_id = m.id"
    rows = sorted(connection.execute(sql).fetchall())
    assert told(held.of(connection, TABLE, numbers)) == rows
    assert told(Texts.looked_up(connection, TABLE, numbers)) == rows


steps = st.lists(
    st.one_of(
        st.tuples(st.just("remember"), st.integers(1, 9), st.booleans()),
        st.tuples(st.just("edit"), st.integers(1, 9), st.booleans()),
        st.tuples(st.just("forget"), st.integers(1, 3), st.booleans()),
    ),
    max_size=12,
)


@on_sqlite
async def test_after_any_script_of_writes(fresh_database: Database) -> None:
    """By units of which some are undone. The newest rows are those that are deleted: others could get their numbers."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=15)
    @given(steps)
    def check(script: list[tuple[str, int, bool]]) -> None:
        asyncio.run_coroutine_threadsafe(run(script), loop).result()

    async def write(action: str, much: int, undone: bool) -> None:
        async with UnitOfWork(fresh_database) as uow:
            rows = await uow.fetch_all(f"SELECT id, content FROM {TABLE} ORDER BY id DESC LIMIT :much", {"much": much})
            newest = {UUID(str(row["id"])): row["content"] for row in rows}
            match action:
                case "remember":
                    await uow.memories.remember_many([{"content": "x " * (n + 1)} for n in range(much)])
                case "edit":
                    for id, content in newest.items():
                        await uow.memories.update(id, content=f"{content} {'y' * much}")
                case "forget":
                    await uow.memories.delete_many(newest)
            if undone:
                raise ZeroDivisionError

    async def run(script: list[tuple[str, int, bool]]) -> None:
        with reader(fresh_database) as (connection, held):
            for action, much, undone in script:
                try:
                    await write(action, much, undone)
                except ZeroDivisionError:
                    assert undone
                assert_held(connection, held)

    await asyncio.to_thread(check)


async def test_a_unit_finds_its_own_words_and_nobody_those_that_were_undone(fresh_database: Database) -> None:
    vectors = clustered(60, DIMENSIONS)
    async with UnitOfWork(fresh_database) as uow:
        space = await uow.embedding_spaces.create(name="x", dimensions=DIMENSIONS)
        await store(uow.session, space, vectors)
        await uow.memories.remember_many(
            [{"content": f"a zebra {n}", "vector": vectors[n]} for n in range(5)], space=space
        )

    async def found(uow: UnitOfWork) -> list[str]:
        hits = await uow.memories.recall(vectors[1], text="zebra", space=space, mode="approximate", limit=100)
        return sorted(hit.content for hit in hits if hit.content != "x")

    kept = [f"a zebra {n}" for n in range(5)]
    async with UnitOfWork(fresh_database) as uow:
        assert await found(uow) == kept

    async def undone() -> None:
        async with UnitOfWork(fresh_database) as uow:
            rows = [{"content": f"undone zebra {n}", "vector": vectors[n]} for n in range(9)]
            await uow.memories.remember_many(rows, space=space)
            assert await found(uow) == [*kept, *(f"undone zebra {n}" for n in range(9))]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await undone()
    async with UnitOfWork(fresh_database) as uow:
        assert await found(uow) == kept
        # These get the numbers that were given before.
        rows = [{"content": f"late zebra {'z' * n}", "vector": vectors[n]} for n in range(9)]
        await uow.memories.remember_many(rows, space=space)
    async with UnitOfWork(fresh_database) as uow:
        assert await found(uow) == [*kept, *(str(row["content"]) for row in rows)]


@on_sqlite
async def test_numbers_that_begin_anew(copies: Copies) -> None:
    """As the index is dropped and made again, while a process holds what its numbers were."""
    url = await copies.empty()
    async with Database(url) as database:
        await database.migrate()
        async with UnitOfWork(database) as uow:
            ids = await uow.memories.remember_many([{"content": f"x {n:03}"} for n in range(30)])
            await uow.memories.delete_many(ids[:10])
        with reader(database) as (connection, held):
            assert_held(connection, held)
            await migrations.downgrade(database.url, BEFORE)
            await database.migrate()
            assert_held(connection, held)
    await copies.drop(url)


@on_sqlite
async def test_what_is_held_stays_small(fresh_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone goes when most of it is, and a table that is too large is not held, nor counted again."""
    async with UnitOfWork(fresh_database) as uow:
        ids = await uow.memories.remember_many([{"content": "x"} for _ in range(30)])
    with reader(fresh_database) as (connection, held):
        assert_held(connection, held)
        async with UnitOfWork(fresh_database) as uow:
            await uow.memories.delete_many(ids[:25])
            await uow.memories.remember_many([{"content": "x"} for _ in range(5)])
        assert_held(connection, held)
        [(_, texts)] = held.tables.values()
        assert texts is not None
        assert texts.numbers.size == 10
        held.tables, held.most_bytes = {}, 9 * sqlite_texts.BYTES
        assert_held(connection, held)
        assert [texts for _, texts in held.tables.values()] == [None]
        monkeypatch.setattr(HeldTexts, "_read_on", None)
        assert_held(connection, held)
