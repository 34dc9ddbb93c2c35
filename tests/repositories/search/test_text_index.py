"""The text index holds what the tables hold, whichever way it was written."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from database import Database, migrations
from repositories import UnitOfWork
from tests.support import Copies, on_sqlite

VOCABULARY = ("zebra", "lion", "приветы", "東京", "camping")

texts = st.lists(st.sampled_from(VOCABULARY), max_size=4).map(" - ".join)
places = st.integers(0, 7)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), texts),
        st.tuples(st.just("append_many"), st.lists(texts, max_size=3)),
        st.tuples(st.just("edit"), places, texts),
        st.tuples(st.just("delete"), places),
        st.tuples(st.just("replay"), places),
        st.tuples(st.just("begin"), places),
        st.tuples(st.just("end"), places),
        st.tuples(st.just("remember"), texts),
        st.tuples(st.just("change"), places, texts),
        st.tuples(st.just("forget"), places),
    ),
    max_size=15,
)


async def write(uow: UnitOfWork, script: list[tuple[Any, ...]]) -> None:
    """Each step goes to a row by its number; one that is not there is passed over."""
    talks = [(await uow.conversations.create(title="first")).id]
    messages, memories = [], []
    for step in script:
        match step:
            case ("append", text):
                messages.append(await uow.messages.append(talks[-1], role="user", content=text))
            case ("append_many", many):
                rows = [{"role": "user", "content": text} for text in many]
                messages += await uow.messages.append_many(talks[-1], rows)
            case ("edit", place, text) if place < len(messages):
                messages[place] = await uow.messages.edit(messages[place].id, content=text)
            case ("delete", place) if place < len(messages):
                await uow.messages.delete(messages.pop(place).id)
            case ("replay", place) if place < len(messages):
                message = messages[place]
                if message.edited_at is None:
                    await uow.messages.append(
                        message.conversation_id, id=message.id, role="user", content=message.content
                    )
            case ("begin", _):
                talks.append((await uow.conversations.create(title="next")).id)
            case ("end", place) if place < len(talks) - 1:
                gone = talks.pop(place)
                await uow.conversations.delete(gone)
                messages = [message for message in messages if message.conversation_id != gone]
            case ("remember", text):
                memories.append((await uow.memories.remember(text)).id)
            case ("change", place, text) if place < len(memories):
                await uow.memories.update(memories[place], content=text)
            case ("forget", place) if place < len(memories):
                await uow.memories.delete(memories.pop(place))


INDEXED = {
    "postgresql": "SELECT id FROM {table} WHERE search_vector @@ phraseto_tsquery('persona_store', :word)",
    "sqlite": "SELECT s.row_id AS id FROM {table}_fts JOIN {table}_search AS s ON s.number = {table}_fts.rowid "
    "WHERE {table}_fts MATCH '\"' || :word || '\"'",
}


async def assert_index_is_right(database: Database, backend: str) -> None:
    for table in ("messages", "conversation_memory"):
        rows = await database.fetch_all(f"SELECT id, content FROM {table}")
        for word in VOCABULARY:
            found = await database.fetch_all(INDEXED[backend].format(table=table), {"word": word})
            wanted = sorted(str(row["id"]).replace("-", "") for row in rows if word in str(row["content"]))
            assert sorted(str(row["id"]).replace("-", "") for row in found) == wanted
        if backend == "sqlite":
            numbered = await database.fetch_all(f"SELECT row_id, size FROM {table}_search ORDER BY row_id")
            sizes = sorted((str(row["id"]), len(str(row["content"]))) for row in rows)
            assert [(row["row_id"], row["size"]) for row in numbered] == sizes


async def test_after_any_script_of_writes(database: Database, backend: str) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=15)
    @given(steps)
    def check(script: list[tuple[Any, ...]]) -> None:
        asyncio.run_coroutine_threadsafe(run(script), loop).result()

    async def run(script: list[tuple[Any, ...]]) -> None:
        async with database.sandbox():
            async with UnitOfWork(database) as uow:
                await write(uow, script)
            await assert_index_is_right(database, backend)

    await asyncio.to_thread(check)


@on_sqlite
async def test_a_row_that_is_replaced_and_a_vacuum(fresh_database: Database, backend: str) -> None:
    async with UnitOfWork(fresh_database) as uow:
        talk = await uow.conversations.create(title="x")
        for text in VOCABULARY * 2:
            await uow.messages.append(talk.id, role="user", content=text)
    await fresh_database.execute("DELETE FROM messages WHERE position % 3 = 0")
    await fresh_database.execute(
        "INSERT OR REPLACE INTO messages SELECT * FROM messages WHERE position > 4",
    )
    async with fresh_database.autocommit() as connection:
        await connection.exec_driver_sql("VACUUM")
    await assert_index_is_right(fresh_database, backend)


async def test_rows_that_were_there_before_the_index(copies: Copies, backend: str) -> None:
    url = await copies.empty()
    async with Database(url) as database:
        await database.migrate()
        async with UnitOfWork(database) as uow:
            talk = await uow.conversations.create(title="x")
            await uow.messages.append(talk.id, role="user", content="zebra camping")
            await uow.memories.remember("lion")
        await migrations.downgrade(database.url, "-1")
        await database.migrate()
        await assert_index_is_right(database, backend)
    await copies.drop(url)
