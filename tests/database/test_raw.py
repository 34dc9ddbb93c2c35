"""The raw-SQL door: one text for both databases, the same verbs on a database and in a unit."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from database import Database, RawSql
from database.errors import DuplicateError, InvalidInputError, QueryError
from models import metadata
from repositories import UnitOfWork
from tests.database.conftest import fill
from tests.factories import ConversationFactory


async def test_execute_tells_the_rows_it_touched_and_its_time(door: RawSql) -> None:
    made = await door.execute("INSERT INTO notes (id, text) VALUES (:id, :text)", {"id": 1, "text": "one"})
    assert made.row_count == 1
    assert made.duration_ms > 0
    assert (await door.execute("UPDATE notes SET text = 'two'")).row_count == 1
    assert (await door.execute("DELETE FROM notes WHERE id = :id", {"id": 7})).row_count == 0
    assert (await door.execute("CREATE TABLE more (id INTEGER)")).row_count == 0


async def test_fetch_all_gives_rows_by_name_in_their_order(door: RawSql) -> None:
    await fill(door, 3)
    rows = await door.fetch_all("SELECT id, text FROM notes WHERE id < :end ORDER BY id DESC", {"end": 2})
    assert rows == [{"id": 1, "text": "note 1"}, {"id": 0, "text": "note 0"}]
    assert rows.row_count == 2
    assert rows.duration_ms > 0
    assert rows.column("id") == [1, 0]
    assert await door.fetch_all("SELECT id FROM notes WHERE id > 99") == []


async def test_fetch_one_and_fetch_value_give_the_first_or_none(door: RawSql) -> None:
    await fill(door, 3)
    assert await door.fetch_one("SELECT id, text FROM notes ORDER BY id") == {"id": 0, "text": "note 0"}
    assert await door.fetch_one("SELECT id FROM notes WHERE id = :id", {"id": 99}) is None
    assert await door.fetch_value("SELECT count(*) FROM notes") == 3
    assert await door.fetch_value("SELECT text FROM notes WHERE id = :id", {"id": 99}) is None
    assert await door.fetch_value("SELECT weight FROM notes WHERE id = 1") is None


async def test_execute_many_is_one_batch(door: RawSql, statements: Any) -> None:
    with statements() as seen:
        await fill(door, 1_000)
    assert len(seen) == 1
    assert await door.fetch_value("SELECT count(*) FROM notes") == 1_000
    assert (await door.execute_many("DELETE FROM notes WHERE id = :id", [])).row_count == 0


async def test_execute_many_is_all_or_nothing(fresh_database: Database) -> None:
    await fresh_database.execute("CREATE TABLE notes (id BIGINT PRIMARY KEY)")
    with pytest.raises(DuplicateError):
        await fresh_database.execute_many("INSERT INTO notes VALUES (:id)", [{"id": 1}, {"id": 2}, {"id": 1}])
    assert await fresh_database.fetch_value("SELECT count(*) FROM notes") == 0


async def test_execute_many_takes_nulls_anywhere(door: RawSql) -> None:
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    ids = [uuid4() for _ in range(3)]
    chats = [await ConversationFactory.create(id=one) for one in ids]
    rows = [{"id": chat.id, "moment": at} for chat, at in zip(chats, [None, moment, None], strict=True)]
    await door.execute_many("UPDATE conversations SET archived_at = :moment WHERE id = :id", rows)
    found = await door.fetch_all(
        "SELECT archived_at FROM conversations ORDER BY created_at", columns={"archived_at": datetime}
    )
    assert sorted(found.column("archived_at"), key=str) == [moment, None, None]


async def test_stream_gives_every_row_once(door: RawSql) -> None:
    await fill(door, 1_201)
    ids = [row["id"] async for row in door.stream("SELECT id FROM notes ORDER BY id")]
    assert ids == list(range(1_201))


async def test_stream_reads_a_part_at_a_time(fresh_database: Database) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    taken = []
    rows = fresh_database.stream(endless)
    async for row in rows:
        taken.append(row["i"])
        if len(taken) == 1_700:
            break
    await rows.aclose()  # type: ignore[attr-defined]  # an async generator, said to be an iterator
    assert taken == list(range(1, 1_701))
    health = await fresh_database.health()
    assert health.pool is not None
    assert health.pool.checked_out == 0
    await fresh_database.execute("CREATE TABLE notes (id INTEGER)")


async def test_table_exists(door: RawSql) -> None:
    assert await door.table_exists("notes")
    assert not await door.table_exists("not_there")


async def test_a_unit_has_the_same_verbs_in_its_own_transaction(fresh_database: Database) -> None:
    async def unit() -> None:
        async with UnitOfWork(fresh_database) as uow:
            await uow.execute("CREATE TABLE notes (id BIGINT PRIMARY KEY, text TEXT)")
            await fill(uow, 3)
            assert await uow.fetch_value("SELECT count(*) FROM notes") == 3
            assert await uow.fetch_one("SELECT text FROM notes WHERE id = 2") == {"text": "note 2"}
            assert len(await uow.fetch_all("SELECT * FROM notes")) == 3
            assert [row["id"] async for row in uow.stream("SELECT id FROM notes ORDER BY id")] == [0, 1, 2]
            assert await uow.table_exists("notes")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await unit()
    assert not await fresh_database.table_exists("notes")


async def test_a_unit_sees_what_it_has_not_flushed_yet(uow: UnitOfWork) -> None:
    uow.session.add(ConversationFactory.build(title="pending"))
    assert await uow.fetch_value("SELECT title FROM conversations") == "pending"


async def test_parameters_are_those_that_the_statement_asks_for(door: RawSql) -> None:
    delete, insert = "DELETE FROM notes WHERE id = :id", "INSERT INTO notes (id, text) VALUES (:id, :text)"
    for call in (
        door.execute(delete, {"id": 1, "other": 2}),
        door.execute(delete),
        door.fetch_all("SELECT id FROM notes WHERE id = :id", {"other": 1}),
        door.execute_many(insert, [{"id": 1, "text": ""}, {"id": 2}]),
        door.execute_many(insert, [{"id": 1}, {"id": 2, "text": ""}]),
        door.execute_many(insert, [{"id": 1}]),
        door.execute_many(insert, [{"id": 1, "text": "", "other": ""}]),
    ):
        with pytest.raises(InvalidInputError):
            await call
    assert await door.fetch_value("SELECT count(*) FROM notes") == 0


async def test_a_mistake_in_sql_is_ours_without_the_text(door: RawSql) -> None:
    for verb in (door.execute, door.fetch_all, door.fetch_one, door.fetch_value):
        with pytest.raises(QueryError) as caught:
            await verb("SELECT hush FROM notes")
        assert "hush" not in str(caught.value)


async def test_a_colon_that_is_no_parameter_is_escaped(door: RawSql) -> None:
    assert await door.fetch_value(r"SELECT 'at 10\:30'") == "at 10:30"


async def test_every_table_can_be_read_through_it(door: RawSql) -> None:
    for name in sorted(metadata.tables):
        assert await door.fetch_all(f"SELECT * FROM {name}") == []
