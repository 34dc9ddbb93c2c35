"""On SQLite: what a question of words and vector costs is bounded, however many rows hold its words. No timings."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from database import Database, sqlite_functions, sqlite_words
from database.sqlite_likely import STOPPED
from models import EmbeddingSpace
from repositories import MemoryRepository, MessageRepository, UnitOfWork
from repositories.search import hybrid
from tests.support import on_sqlite

FEW, MANY = 150, 600

TEXT_INDEX = "CREATE VIRTUAL TABLE texts USING fts5(content, content='', tokenize='porter unicode61')"


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite_functions.register(sqlite3.connect(":memory:"))
    yield made
    made.close()


def test_texts_are_asked_for_words_as_their_index_would_be(connection: sqlite3.Connection) -> None:
    connection.execute(TEXT_INDEX)
    texts = {"a": "Lions sleep.", "b": "a zebra", "c": ""}
    for words, wanted in (({"0": "lion", "1": "zebra"}, [["a", "0"], ["b", "1"]]), ({"0": "none"}, []), ({}, [])):
        asked = ("texts", json.dumps(texts), json.dumps(words))
        assert json.loads(connection.execute("SELECT texts_with(?, ?, ?)", asked).fetchone()[0]) == wanted
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("SELECT texts_with('none', '{}', '{}')")


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "l2"])
def test_similarities_of_many_are_those_of_each(connection: sqlite3.Connection, metric: str) -> None:
    connection.execute("CREATE TABLE memory_embeddings (memory_id, embedding_space_id, embedding)")
    vectors = np.random.default_rng(1).standard_normal((50, 8)).astype("<f4")
    rows = [(f"{n:032x}", "s", vector.tobytes()) for n, vector in enumerate(vectors)]
    connection.executemany("INSERT INTO memory_embeddings VALUES (?, ?, ?)", rows)
    question = vectors[7].tobytes()
    ids = json.dumps([row[0] for row in rows] + ["missing"])
    call = "SELECT similarities('memory_embeddings', 's', ?, ?, ?)"
    found = json.loads(connection.execute(call, (question, metric, ids)).fetchone()[0])
    each = {
        "cosine": "1 - distance_cosine(embedding, ?)",
        "inner_product": "0 - distance_inner_product(embedding, ?)",
        "l2": "1 / (1 + distance_l2(embedding, ?))",
    }[metric]
    wanted = dict(connection.execute(f"SELECT memory_id, {each} FROM memory_embeddings", (question,)).fetchall())
    assert found.pop("missing") is None
    assert found == pytest.approx(wanted)
    call = "SELECT best_of('memory_embeddings', 's', ?, ?, 1.0, 3, ?)"
    best = json.loads(
        connection.execute(call, (question, metric, json.dumps(dict.fromkeys(wanted, 0.0)))).fetchone()[0]
    )
    assert best == sorted(wanted, key=wanted.__getitem__, reverse=True)[:3]


def test_what_is_stopped_in_a_function_goes_on_to_where_sqlite_sees_it() -> None:
    assert len(json.loads(STOPPED)) == 2


async def fill(database: Database, space: EmbeddingSpace, rows: int, talk_id: UUID | None = None) -> UUID:
    """In one conversation."""
    vectors = np.random.default_rng(rows).standard_normal((rows, 4)).astype(np.float32)
    lines = [{"content": f"good day {n}", "vector": vector} for n, vector in enumerate(vectors)]
    async with UnitOfWork(database) as uow:
        talk_id = talk_id or (await uow.conversations.create(title="x")).id
        await uow.messages.append_many(talk_id, [{"role": "user", **line} for line in lines], space=space)
        await uow.memories.remember_many(lines, space=space)
    return talk_id


@on_sqlite
async def test_steps_do_not_grow_with_rows_of_a_frequent_word_nor_with_their_square(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the default search, and of one in which all rows are compared: without an index that SQLite makes for the one
    statement, each row of the scope would be looked for among all the others."""
    for name in ("MOST_MATCHES", "MOST_ALONE"):
        monkeypatch.setattr(hybrid, name, 20)
    monkeypatch.setattr(hybrid, "LEAST_CANDIDATES", 20)
    async with UnitOfWork(fresh_database) as uow:
        space = await uow.embedding_spaces.create(name="four", dimensions=4)

    async def steps() -> dict[str, int]:
        asked: dict[str, int] = {}
        async with fresh_database.transaction() as session:
            raw = await (await session.core()).get_raw_connection()
            driver: Any = raw.driver_connection
            searches: dict[str, Any] = {
                "memories": MemoryRepository(session).recall,
                "messages": MessageRepository(session).search,
            }
            scopes: dict[str, dict[str, Any]] = {
                "memories": {"min_importance": 0.0},
                "messages": {"conversation_id": talk_id},
            }
            for kind, mode in {"approximate": "approximate", "exact": "exact", "narrow": "auto"}.items():
                for name, search in searches.items():
                    scope = scopes[name] if kind == "narrow" else {}
                    counted = 0

                    def count() -> None:
                        nonlocal counted
                        counted += 1

                    await driver.set_progress_handler(count, 10)
                    await search(text="good day", vector=[1, 0, 0, 0], space=space, limit=5, mode=mode, **scope)
                    asked[f"{name} {kind}"] = counted
        return asked

    talk_id = await fill(fresh_database, space, FEW)
    few = await steps()
    await fill(fresh_database, space, MANY - FEW, talk_id)
    many = await steps()
    times = {name: many[name] / few[name] for name in few}
    assert times["memories approximate"] < 1.5
    assert times["messages approximate"] < 1.5
    assert times["memories exact"] < 1.5 * MANY / FEW
    assert times["messages exact"] < 1.5 * MANY / FEW
    assert times["memories narrow"] < 1.5 * MANY / FEW
    assert times["messages narrow"] < 1.5 * MANY / FEW


def test_a_narrow_scope_reads_the_list_of_a_word_once(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows it has: each of them was a question to the index, once for every word."""
    connection.execute("CREATE TABLE messages (id, content)")
    connection.execute("CREATE TABLE messages_search (number INTEGER PRIMARY KEY, row_id, size)")
    connection.execute(TEXT_INDEX.replace("texts", "messages_fts"))
    words = {0: "zebra", 1: "day"}
    for number in range(1, 4 * MANY):
        text = "a zebra's day" if number % 100 == 0 else "one more day"
        connection.execute("INSERT INTO messages VALUES (?, ?)", (str(number), text))
        connection.execute("INSERT INTO messages_search VALUES (?, ?, ?)", (number, str(number), len(text)))
        connection.execute("INSERT INTO messages_fts (rowid, content) VALUES (?, ?)", (number, text))
    numbers = list(range(50, 350))
    wanted = [[0, 100], [0, 200], [0, 300]] + [[1, number] for number in numbers]
    sent: list[str] = []
    connection.set_trace_callback(sent.append)
    for longest in (4 * MANY, 100):
        monkeypatch.setattr(sqlite_words, "LEAST_LISTED", longest)
        sent.clear()
        call = "SELECT rows_with('messages', ?, ?)"
        values = json.dumps(list(words.values())), json.dumps([0, numbers])
        assert sorted(json.loads(connection.execute(call, values).fetchone()[0])) == wanted
        assert sum("messages_fts MATCH" in sql for sql in sent) == len(words)


@pytest.mark.parametrize(
    "call",
    [
        """rows_with('texts', '["zebra"]', '[9, [1]]')""",
        """likeliest('texts', '', '', x'', 'cosine', 1, 1, -1, 9, 1.2, 0.4, '[["zebra", "1"]]'), '$.scores'""",
    ],
)
def test_what_is_stopped_while_it_asks_for_words_is_stopped(connection: sqlite3.Connection, call: str) -> None:
    connection.execute(TEXT_INDEX.replace("texts", "texts_fts"))
    connection.execute("CREATE TABLE texts_search (number INTEGER PRIMARY KEY, row_id, size)")
    connection.set_trace_callback(lambda sql: connection.interrupt() if "MATCH" in sql else None)
    with pytest.raises(sqlite3.OperationalError) as stopped:
        connection.execute(f"SELECT one.value FROM json_each({call}) AS one").fetchall()
    assert stopped.value.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT
