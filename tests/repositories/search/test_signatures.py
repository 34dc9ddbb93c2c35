"""Wide scopes, compared by signatures first on SQLite: the right rows, however and by whom they were written."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import SecretStr

from database import Database, Settings, migrations, sqlite_held, sqlite_nearest, sqlite_signatures
from database.sqlite_functions import register
from database.sqlite_signatures import Signatures, Space, keys_of
from models import EmbeddingSpace, Metric
from repositories import MemoryRepository, UnitOfWork
from repositories.search import hybrid
from tests.repositories.search.exact import clustered, nearest, store
from tests.support import Copies, on_sqlite

DIMENSIONS = 70
"""No multiple of eight, nor one word of 64 bits."""

TABLES = {"memory_embeddings": "memory_id", "message_embeddings": "message_id", "embeddings": "id"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty rows are wide, and ten changes are many."""
    monkeypatch.setattr(hybrid, "NARROW", 20)
    monkeypatch.setattr(sqlite_nearest, "POOL_BITS", 40 * DIMENSIONS)
    monkeypatch.setattr(sqlite_nearest, "FIRST", 4)
    monkeypatch.setattr(sqlite_held, "NEWS", 10)


async def new_space(database: Database, name: str = "x", metric: Metric = Metric.COSINE) -> EmbeddingSpace:
    async with UnitOfWork(database) as uow:
        return await uow.embedding_spaces.create(name=name, dimensions=DIMENSIONS, metric=metric)


def one(direction: int) -> NDArray[np.float32]:
    vector = np.full(DIMENSIONS, 0.1, dtype=np.float32)
    vector[direction] = 5
    return vector


async def first(database: Database, space: EmbeddingSpace, vector: Any, **filters: Any) -> str:
    async with database.session() as session:
        found = await MemoryRepository(session).recall(vector, space=space, limit=1, **filters)
        return found[0].content


async def fill(database: Database, space: EmbeddingSpace, count: int = 60) -> NDArray[np.float32]:
    vectors = clustered(count, DIMENSIONS)
    async with database.transaction() as session:
        await store(session, space, vectors)
    return vectors


async def test_wide_scopes_bring_what_numpy_computes(
    small: None, fresh_database: Database, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_nearest, "POOL_BITS", 250 * DIMENSIONS)
    vectors = clustered(400, DIMENSIONS, clusters=4)
    for metric in (Metric.COSINE, Metric.L2):
        space = await new_space(fresh_database, metric, metric)
        async with fresh_database.transaction() as session:
            ids = await store(session, space, vectors[:320], "ada")
            others = await store(session, space, vectors[320:], "bob")
        hers, his = dict(zip(ids, vectors, strict=False)), dict(zip(others, vectors[320:], strict=True))
        for owner, rows in (("ada", hers), ("bob", his), (None, hers | his)):
            async with UnitOfWork(fresh_database, owner_id=owner) as uow:
                for query in (vectors[3], vectors[323] + 0.1, -vectors[9]):
                    expected = [id for id, _ in nearest(rows, query, metric, 10)]
                    whole = await uow.memories.recall(query, space=space, mode="exact")
                    assert whole.exact
                    assert [hit.id for hit in whole] == expected
                    found = await uow.memories.recall(query, space=space)
                    assert found.exact == (backend == "postgresql" or metric is Metric.L2)
                    assert len({hit.id for hit in found} & set(expected)) >= 8
                    assert len(await uow.memories.recall(query, space=space, limit=80)) == 80


async def test_a_filter_never_brings_fewer(small: None, fresh_database: Database) -> None:
    """Of thirty rows far away behind four hundred nearer ones, all ten that are nearest come."""
    space = await new_space(fresh_database)
    random = np.random.default_rng(5)
    near = one(3) + 0.1 * random.standard_normal((400, DIMENSIONS)).astype(np.float32)
    far = one(40) + random.standard_normal((30, DIMENSIONS)).astype(np.float32)
    async with fresh_database.transaction() as session:
        await store(session, space, near, "others")
        own = await store(session, space, far, "ada")
    expected = [id for id, _ in nearest(dict(zip(own, far, strict=True)), one(3), Metric.COSINE, 10)]
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        found = await uow.memories.recall(one(3), space=space)
        both = await uow.memories.recall(one(3), text="x", space=space)
    assert [hit.id for hit in found] == expected
    assert len(both) == 10


async def test_a_unit_sees_its_own_writes_and_nobody_those_that_were_undone(
    small: None, fresh_database: Database
) -> None:
    space = await new_space(fresh_database)
    await fill(fresh_database, space)
    await first(fresh_database, space, one(1))

    async def undone() -> None:
        async with UnitOfWork(fresh_database) as uow:
            for place in range(30):
                await uow.memories.remember("undone", vector=one(place), space=space)
            found = await uow.memories.recall(one(7), space=space, limit=1)
            assert found[0].content == "undone"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await undone()
    assert await first(fresh_database, space, one(7)) == "x"
    # These get the numbers that were given before, for other vectors.
    async with UnitOfWork(fresh_database) as uow:
        for place in range(30):
            await uow.memories.remember(f"kept {place + 30}", vector=one(place + 30), space=space)
    for place in (30, 45, 59):
        assert await first(fresh_database, space, one(place)) == f"kept {place}"


async def test_a_savepoint_that_is_undone(small: None, fresh_database: Database) -> None:
    space = await new_space(fresh_database)
    await fill(fresh_database, space)
    async with UnitOfWork(fresh_database) as uow:

        async def undone() -> None:
            async with uow.nested():
                await uow.memories.remember("undone", vector=one(5), space=space)
                assert (await uow.memories.recall(one(5), space=space, limit=1))[0].content == "undone"
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await undone()
        await uow.memories.remember("kept", vector=one(6), space=space)
        assert (await uow.memories.recall(one(5), space=space, limit=1))[0].content != "undone"
        assert (await uow.memories.recall(one(6), space=space, limit=1))[0].content == "kept"


async def test_changes_by_others_are_seen_and_a_reader_keeps_what_it_saw(
    small: None, fresh_url: str, fresh_database: Database
) -> None:
    """One reader begins before, and asks again after, others have changed and deleted what it has seen."""
    space = await new_space(fresh_database)
    await fill(fresh_database, space)
    async with UnitOfWork(fresh_database) as uow:
        ids = [(await uow.memories.remember(f"at {n}", vector=one(n), space=space)).id for n in range(15)]
    async with Database(fresh_url) as other, fresh_database.session() as reader:
        memories = MemoryRepository(reader)
        # A recall alone would begin nothing, and see each time what is there.
        await memories.count()
        seen = [(await memories.recall(one(n), space=space, limit=1))[0].content for n in range(15)]
        assert seen == [f"at {n}" for n in range(15)]
        async with UnitOfWork(other) as uow:
            for n, id in enumerate(ids[:12]):
                await uow.memories.embed(id, one(n + 40), space)
            await uow.memories.delete(ids[14])
        for n in range(12):
            assert await first(other, space, one(n + 40)) == f"at {n}"
        assert await first(other, space, one(14)) != "at 14"
        if reader.get_bind().dialect.name == "sqlite":
            again = [(await memories.recall(one(n), space=space, limit=1))[0].content for n in range(15)]
            assert again == seen


writes = st.lists(
    st.one_of(
        st.tuples(st.just("remember"), st.integers(0, 69)),
        st.tuples(st.just("embed"), st.integers(0, 9), st.integers(0, 69)),
        st.tuples(st.just("forget"), st.integers(0, 9)),
        st.tuples(st.just("raw"), st.integers(0, 9), st.integers(0, 69)),
        st.tuples(st.just("say"), st.integers(0, 69)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("put"), st.integers(0, 3), st.integers(0, 69)),
        st.tuples(st.just("drop"), st.just(0)),
        st.tuples(st.just("search"), st.integers(0, 69)),
    ),
    max_size=25,
)


CHANGED = """
UPDATE memory_embeddings SET embedding = :vector WHERE memory_id = :id AND embedding_space_id = :space
"""
REPLACED = """
INSERT OR REPLACE INTO memory_embeddings SELECT :id, :space, :vector, created_at, updated_at
FROM conversation_memory WHERE id = :id
"""


async def write(uow: UnitOfWork, script: Sequence[tuple[Any, ...]]) -> None:
    spaces = [await uow.embedding_spaces.create(name=f"{n}", dimensions=DIMENSIONS) for n in range(2)]
    talks = [await uow.conversations.create(title="x")]
    memories = []
    for step in script:
        match step:
            case ("remember", at):
                memories += [(await uow.memories.remember("m", vector=one(at), space=space)).id for space in spaces]
            case ("embed", place, at) if place < len(memories):
                await uow.memories.embed(memories[place], one(at), spaces[0])
            case ("forget", place) if place < len(memories):
                await uow.memories.delete(memories.pop(place))
            case ("raw", place, at) if place < len(memories):
                key = {"id": memories[place].hex, "vector": one(at).tobytes(), "space": spaces[0].id.hex}
                await uow.execute(CHANGED if at % 2 else REPLACED, key)
            case ("say", at):
                await uow.messages.append(talks[-1].id, role="user", content="m", vector=one(at), space=spaces[0])
            case ("end", _):
                await uow.conversations.delete(talks.pop().id)
                talks.append(await uow.conversations.create(title="x"))
            case ("put", chunk, at):
                row = {"source_type": "a", "source_id": "b", "chunk": chunk, "content": "c", "vector": one(at)}
                await uow.embeddings.put_many([row], space=spaces[-1])
            case ("drop", _) if len(spaces) > 1:
                await uow.embedding_spaces.delete(spaces.pop().id)
            case ("search", at):
                await uow.memories.recall(one(at), space=spaces[0])


async def assert_numbers_are_right(database: Database) -> None:
    """Every vector has one number, and what is read anew by the numbers is what the vectors are."""
    changes = await database.fetch_value("SELECT changes FROM vector_search")
    for table, key in TABLES.items():
        there = await database.fetch_all(f"SELECT {key} AS id, embedding_space_id AS space FROM {table}")
        numbered = await database.fetch_all(
            f"SELECT number, row_id AS id, embedding_space_id AS space FROM {table}_search"
        )
        assert sorted((row["id"], row["space"]) for row in numbered) == sorted((r["id"], r["space"]) for r in there)
        assert all(int(str(row["number"])) <= int(str(changes)) for row in numbered)


@on_sqlite
async def test_after_any_script_of_writes(small: None, fresh_database: Database) -> None:
    loop = asyncio.get_running_loop()
    held: dict[tuple[str, int], bytes] = {}

    @settings(max_examples=8)
    @given(writes)
    def check(script: list[tuple[Any, ...]]) -> None:
        asyncio.run_coroutine_threadsafe(run(script), loop).result()

    async def run(script: list[tuple[Any, ...]]) -> None:
        async with UnitOfWork(fresh_database) as uow:
            await write(uow, script)
        await assert_numbers_are_right(fresh_database)
        # A number never stands for another vector than before, once it was committed.
        for table, key in TABLES.items():
            for row in await fresh_database.fetch_all(
                f"SELECT n.number, v.embedding FROM {table}_search AS n JOIN {table} AS v "
                f"ON v.{key} = n.row_id AND v.embedding_space_id = n.embedding_space_id"
            ):
                vector = row["embedding"]
                assert isinstance(vector, bytes)
                assert held.setdefault((table, int(str(row["number"]))), vector) == vector
        async with UnitOfWork(fresh_database) as uow:
            for space in await uow.embedding_spaces.page(limit=100):
                await uow.embedding_spaces.delete(space.id)

    await asyncio.to_thread(check)


@on_sqlite
async def test_a_program_that_knows_none_of_our_functions_writes(small: None, fresh_database: Database) -> None:
    space = await new_space(fresh_database)
    await fill(fresh_database, space)
    await first(fresh_database, space, one(1))
    async with UnitOfWork(fresh_database) as uow:
        memory = await uow.memories.remember("theirs", vector=one(2), space=space)
    file = Path(str(fresh_database.url.database))
    theirs = sqlite3.connect(file)
    for at in (33, 34):
        theirs.execute(
            "INSERT OR REPLACE INTO memory_embeddings SELECT memory_id, embedding_space_id, ?, created_at, updated_at "
            "FROM memory_embeddings WHERE memory_id = ?",
            (one(at).tobytes(), memory.id.hex),
        )
        theirs.commit()
        assert await first(fresh_database, space, one(at)) == "theirs"
    theirs.execute("DELETE FROM memory_embeddings WHERE memory_id = ?", (memory.id.hex,))
    theirs.commit()
    theirs.close()
    assert await first(fresh_database, space, one(34)) == "x"
    await assert_numbers_are_right(fresh_database)


@on_sqlite
async def test_rows_from_before_and_tables_that_were_made_anew(small: None, copies: Copies) -> None:
    url = await copies.empty()
    async with Database(url) as database:
        await database.migrate()
        space = await new_space(database)
        await fill(database, space)
        async with UnitOfWork(database) as uow:
            await uow.memories.remember("old", vector=one(7), space=space)
        assert await first(database, space, one(7)) == "old"
        before = await database.fetch_value("SELECT changes FROM vector_search")
        await migrations.downgrade(database.url, "7d1f0a3c5b28")
        await database.migrate()
        assert await first(database, space, one(7)) == "old"
        assert int(str(await database.fetch_value("SELECT max(number) FROM memory_embeddings_search"))) > int(
            str(before)
        )
        await assert_numbers_are_right(database)
    await copies.drop(url)


@on_sqlite
async def test_what_is_held_stays_small(small: None, fresh_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The space that was searched longest ago goes, and one that is too large is read each time, and so exactly."""
    monkeypatch.setattr(sqlite_held, "MEGABYTE", Signatures.bytes_of(1, DIMENSIONS))
    spaces = [await new_space(fresh_database, name) for name in ("a", "b", "c")]
    for each in spaces:
        await fill(fresh_database, each, 200)
    url = str(fresh_database.url.database)
    async with Database(Settings(database_url=SecretStr(f"sqlite:///{url}"), sqlite_vector_memory_mb=450)) as database:
        connection = sqlite3.connect(url)
        shared = sqlite_held.held_for(connection, 450)
        assert shared is not None
        for place in (0, 1, 0, 2):
            await first(database, spaces[place], one(1))
        assert {held.id for held in shared.spaces} == {spaces[0].id.hex, spaces[2].id.hex}
        async with UnitOfWork(database) as uow:
            await uow.execute("DELETE FROM memory_embeddings WHERE rowid % 10 > 2")
        await first(database, spaces[2], one(1))
        held = shared.spaces[Space("memory_embeddings", spaces[2].id.hex, DIMENSIONS)]
        assert [part.numbers.size for part in held.parts] == [60]
        shared.spaces.clear()
        shared.most_bytes = 1
        monkeypatch.setattr(Signatures, "read", None)
        async with database.session() as session:
            found = await MemoryRepository(session).recall(one(1), space=spaces[2], mode="approximate")
        assert found.exact
        assert len(found) == 10
        connection.close()


@on_sqlite
async def test_nothing_is_held_where_that_is_asked(small: None, fresh_database: Database) -> None:
    space = await new_space(fresh_database)
    await fill(fresh_database, space)
    url = str(fresh_database.url.database)
    async with (
        Database(Settings(database_url=SecretStr(f"sqlite:///{url}"), sqlite_vector_memory_mb=0)) as database,
        database.session() as session,
    ):
        assert (await MemoryRepository(session).recall(one(1), space=space)).exact


@on_sqlite
async def test_what_is_held_is_as_exact_as_what_is_read(fresh_database: Database) -> None:
    """A narrow scope is read once, and asked of what is held from then on."""
    space = await new_space(fresh_database)
    vectors = clustered(300, DIMENSIONS)
    vectors[200:220] = vectors[7]
    async with fresh_database.transaction() as session:
        ids = await store(session, space, vectors[:260], "ada")
        await store(session, space, vectors[260:], "bob")
    file = str(fresh_database.url.database)
    connection = register(sqlite3.connect(file))
    held = sqlite_held.held_for(connection)
    assert held is not None
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        for query in (vectors[7], vectors[3] + 1, -vectors[9], vectors[270]):
            expected = [id for id, _ in nearest(dict(zip(ids, vectors, strict=False)), query, Metric.COSINE, 25)]
            found = await uow.memories.recall(query, space=space, limit=25)
            assert found.exact
            assert [hit.id for hit in found] == expected
        assert [sum(part.numbers.size for part in shared.parts) for shared in held.spaces.values()] == [260]
        # What this unit changes is read by itself, and what was before it is no answer.
        await uow.memories.embed(ids[3], -vectors[3], space)
        new = await uow.memories.remember("new", vector=vectors[3], space=space)
        assert [hit.id for hit in await uow.memories.recall(vectors[3], space=space, limit=1)] == [new.id]
        assert [hit.id for hit in await uow.memories.recall(-vectors[3], space=space, limit=1)] == [ids[3]]
    connection.close()


async def test_a_scope_that_was_narrow_and_grew(small: None, fresh_database: Database, backend: str) -> None:
    space = await new_space(fresh_database)
    for rows, exact in ((15, True), (30, backend == "postgresql")):
        async with fresh_database.transaction() as session:
            await store(session, space, clustered(rows, DIMENSIONS), "ada")
        async with UnitOfWork(fresh_database, owner_id="ada") as uow:
            assert (await uow.memories.recall(one(3), space=space)).exact is exact


async def test_a_vector_that_was_gone_for_a_unit_alone(small: None, fresh_database: Database) -> None:
    """What a unit found missing, and put back, is nothing that others may hold for missing."""
    space = await new_space(fresh_database)
    async with fresh_database.transaction() as session:
        vectors = clustered(15, DIMENSIONS)
        ids = await store(session, space, vectors, "ada")

    async def undone() -> None:
        async with UnitOfWork(fresh_database, owner_id="ada") as uow:
            # Fewer changes than are read at once for all.
            await uow.execute("DELETE FROM memory_embeddings WHERE memory_id = :id", {"id": ids[4]})
            assert len(await uow.memories.recall(one(3), space=space, limit=20)) == 14
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await undone()
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        assert [hit.id for hit in await uow.memories.recall(vectors[4], space=space, limit=1)] == [ids[4]]


@on_sqlite
async def test_what_was_read_before_a_change_is_not_held_after_it(small: None, fresh_database: Database) -> None:
    """One search has read a row, and before it says so another has changed it and a third has held the news."""
    space = await new_space(fresh_database)
    async with fresh_database.transaction() as session:
        ids = await store(session, space, clustered(15, DIMENSIONS), "ada")
    connection = sqlite3.connect(str(fresh_database.url.database))
    held, of = sqlite_held.held_for(connection), Space("memory_embeddings", space.id.hex, DIMENSIONS)
    assert held is not None
    seen = held.seen_by(connection, of, whole=False)
    assert seen is not None
    rows = connection.execute("SELECT memory_id, embedding FROM memory_embeddings").fetchall()
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        for at, id in enumerate(ids):
            await uow.memories.embed(id, one(at), space)
    assert held.seen_by(connection, of, whole=False) is not None
    held.add(of, seen, rows, np.zeros(0, "S32"))
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        for at, id in enumerate(ids):
            assert [hit.id for hit in await uow.memories.recall(one(at), space=space, limit=1)] == [id]
    connection.close()


async def test_a_narrow_scope_after_any_writes(small: None, fresh_database: Database) -> None:
    """Written, undone, deleted, embedded anew or not at all, in two scopes: what is there is what is found."""
    space, other = await new_space(fresh_database), await new_space(fresh_database, "y")
    random = np.random.default_rng(7)
    there: dict[str, dict[Any, NDArray[np.float32]]] = {"ada": {}, "bob": {}}

    async def change(owner: str, *, undone: bool) -> None:
        now = dict(there[owner])
        async with UnitOfWork(fresh_database, owner_id=owner) as uow:
            for _ in range(int(random.integers(1, 5))):
                vector = random.standard_normal(DIMENSIONS).astype(np.float32)
                known = list(now)
                match random.integers(5):
                    case 0 if known:
                        await uow.memories.delete(known[0])
                        del now[known[0]]
                    case 1 if known:
                        await uow.memories.embed(known[-1], vector, space)
                        now[known[-1]] = vector
                    case 2:
                        await uow.memories.remember("m", vector=vector, space=other)
                    case _:
                        now[(await uow.memories.remember("m", vector=vector, space=space)).id] = vector
            await check(uow, now)
            if undone:
                raise ZeroDivisionError
        there[owner] = now

    async def check(uow: UnitOfWork, rows: dict[Any, NDArray[np.float32]]) -> None:
        query = random.standard_normal(DIMENSIONS).astype(np.float32)
        found = await uow.memories.recall(query, space=space, limit=4, mode="exact")
        assert [hit.id for hit in found] == [id for id, _ in nearest(rows, query, Metric.COSINE, 4)]

    for step in range(24):
        owner = "ada" if random.integers(2) else "bob"
        if step % 3:
            await change(owner, undone=False)
        else:
            with pytest.raises(ZeroDivisionError):
                await change(owner, undone=True)
        for name, rows in there.items():
            async with UnitOfWork(fresh_database, owner_id=name) as uow:
                await check(uow, rows)


def test_two_ids_of_one_key_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.array([b"%032x" % n for n in range(50)])
    vectors = clustered(50, DIMENSIONS)
    made = []

    def alike(ids: Any, seed: int) -> Any:
        made.append(seed)
        return keys_of(ids, seed) if seed else keys_of(ids, seed) % np.uint64(7)

    monkeypatch.setattr(sqlite_signatures, "keys_of", alike)
    part = Signatures.of(np.arange(50), ids, vectors)
    asked = np.array([b"%032x" % n for n in (7, 49, 50, 0)])
    assert part.places_of(asked).tolist() == [7, 49, -1, 0]
    assert made == [0, 1, 1]


@on_sqlite
async def test_a_search_that_is_stopped_says_so(fresh_database: Database) -> None:
    space = await new_space(fresh_database)
    await fill(fresh_database, space)
    connection = register(sqlite3.connect(str(fresh_database.url.database)))

    def stop(_: object) -> bool:
        connection.interrupt()
        return True

    connection.create_function("stop", 1, stop)
    sql = """
    WITH best AS MATERIALIZED (SELECT nearest_in('memory_embeddings', ?, ?, 'cosine', 3, 5000, 'stop(r.id)') AS found)
    SELECT hit.value FROM best, json_each(best.found, '$.hits') AS hit
    """
    with pytest.raises(sqlite3.OperationalError) as stopped:
        connection.execute(sql, (space.id.hex, one(3).tobytes())).fetchall()
    assert stopped.value.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT
    connection.close()
