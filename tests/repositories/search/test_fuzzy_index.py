"""The fuzzy index holds what the tables hold, whichever way it was written; it comes and goes without a trace."""

import asyncio
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from benchmarks.calls import count_calls
from database import Database, migrations
from database.errors import ConfigurationError, DuplicateError
from repositories import UnitOfWork, build_fuzzy_index, drop_fuzzy_index
from repositories.search import IndexState
from repositories.search.likeness import LEAST_SIMILARITY, mean_similarities, strict_word_similarity
from repositories.search.postgres_fuzzy import KNOWS_LETTERS
from repositories.search.postgres_index import ONE_BUILDER
from tests.repositories.search.test_text_index import VOCABULARY, steps, write
from tests.support import Copies, on_postgresql, on_sqlite

TABLES = ["personas", "conversations", "messages"]


async def assert_index_is_right(uow: UnitOfWork) -> None:
    rows = await uow.fetch_all("SELECT id, content FROM messages")
    for word in VOCABULARY:
        found = {str(hit.row.id).replace("-", "") for hit in await uow.messages.similar(word, limit=1_000)}
        assert found == {str(row["id"]).replace("-", "") for row in rows if word in str(row["content"])}


async def assert_nothing_is_left_behind(uow: UnitOfWork) -> None:
    """On SQLite the index has rows of its own: as many as the tables, and none for what is gone."""
    if await uow.table_exists("messages_fuzzy_search"):
        for table in TABLES:
            rows = await uow.fetch_value(f"SELECT count(*) FROM {table}_fuzzy_search")
            assert rows == await uow.fetch_value(f"SELECT count(*) FROM {table}")
        vocabulary = "CREATE VIRTUAL TABLE temp.kept USING fts5vocab(main, messages_fuzzy_fts, row)"
        await uow.execute(vocabulary)
        kept = await uow.fetch_value("SELECT coalesce(sum(doc), 0) FROM temp.kept")
        texts = [f" {row['content']} ".lower() for row in await uow.fetch_all("SELECT content FROM messages")]
        assert kept == sum(len({text[n : n + 3] for n in range(len(text) - 2)}) for text in texts)
        await uow.execute("DROP TABLE temp.kept")


async def test_after_any_script_of_writes(copies: Copies, backend: str) -> None:
    url = await copies.migrated()
    loop = asyncio.get_running_loop()
    async with Database(url) as database:
        await build_fuzzy_index(database)

        @settings(max_examples=5)
        @given(steps)
        def check(script: list[tuple[Any, ...]]) -> None:
            asyncio.run_coroutine_threadsafe(run(script), loop).result()

        async def run(script: list[tuple[Any, ...]]) -> None:
            async with database.sandbox(), UnitOfWork(database) as uow:
                await write(uow, script)
                await assert_index_is_right(uow)
                await assert_nothing_is_left_behind(uow)

        await asyncio.to_thread(check)
    await copies.drop(url)


async def test_names_and_titles_follow_too(fresh_database: Database) -> None:
    await build_fuzzy_index(fresh_database)
    async with UnitOfWork(fresh_database) as uow:
        [first, second] = await uow.personas.create_many(
            [{"name": "Melanie", "template": "t"}, {"name": "Joanna", "template": "t"}]
        )
        talk = await uow.conversations.create(title="Pottery")
        said = await uow.messages.append(talk.id, role="user", content="an old word of it")
        await uow.messages.edit(said.id, content="new")
        await assert_nothing_is_left_behind(uow)
        await uow.personas.update(first, name="Caroline")
        await uow.conversations.rename(talk.id, "Camping")
        assert [hit.row.name for hit in await uow.personas.similar("melanie caroline joanna")] == ["Caroline", "Joanna"]
        assert [hit.row.title for hit in await uow.conversations.similar("pottery camping")] == ["Camping"]
        await uow.personas.delete(second)
        await uow.conversations.delete(talk.id)
        assert await uow.personas.similar("joanna") == ()
        assert await uow.conversations.similar("camping") == ()
        await assert_nothing_is_left_behind(uow)


def states(found: Iterable[Any]) -> set[IndexState]:
    return {index.state for index in found}


async def test_it_comes_and_goes(fresh_database: Database, backend: str) -> None:
    async with UnitOfWork(fresh_database) as uow:
        await uow.personas.create(name="Melanie", template="t")
    built = await build_fuzzy_index(fresh_database)
    assert [index.table for index in built] == TABLES
    assert states(built) == {IndexState.READY}
    assert await build_fuzzy_index(fresh_database) == built
    assert await migrations.drift(fresh_database.url) == []
    async with UnitOfWork(fresh_database) as uow:
        assert len(await uow.personas.similar("melani")) == 1
    await drop_fuzzy_index(fresh_database)
    await drop_fuzzy_index(fresh_database)
    names = "sqlite_master WHERE " if backend == "sqlite" else "pg_class WHERE rel"
    assert await fresh_database.fetch_value(f"SELECT count(*) FROM {names}name LIKE '%fuzzy%'") == 0
    async with UnitOfWork(fresh_database) as uow:
        with pytest.raises(ConfigurationError):
            await uow.personas.similar("melani")
        await uow.personas.create(name="Melanie again", template="t")
    await build_fuzzy_index(fresh_database)
    async with UnitOfWork(fresh_database) as uow:
        assert len(await uow.personas.similar("melani")) == 2


async def test_what_was_left_unfinished_is_built_again(fresh_database: Database, backend: str) -> None:
    async with UnitOfWork(fresh_database) as uow:
        await uow.personas.create_many([{"name": "Melanie", "template": "t"}] * 2)
    if backend == "postgresql":
        # As a killed build does, a failed one leaves an index that is not valid.
        async with fresh_database.autocommit() as connection:
            with pytest.raises(DuplicateError):
                await connection.exec_driver_sql(
                    "CREATE UNIQUE INDEX CONCURRENTLY ix_fuzzy_personas_name ON personas (name)"
                )
    else:
        await build_fuzzy_index(fresh_database)
        await fresh_database.execute("DROP TRIGGER personas_fuzzy_insert")
        await fresh_database.execute("UPDATE personas SET name = 'Caroline'")
    async with UnitOfWork(fresh_database) as uow:
        with pytest.raises(ConfigurationError):
            await uow.personas.similar("melani")
        await uow.personas.create(name="Joanna", template="t")
    assert states(await build_fuzzy_index(fresh_database)) == {IndexState.READY}
    async with UnitOfWork(fresh_database) as uow:
        assert [hit.row.name for hit in await uow.personas.similar("joana")] == ["Joanna"]


async def test_two_build_at_once_while_others_write(fresh_database: Database) -> None:
    async def write_names() -> None:
        for _ in range(20):
            async with UnitOfWork(fresh_database) as uow:
                await uow.personas.create(name="meanwhile", template="t")

    one, two, _ = await asyncio.gather(
        build_fuzzy_index(fresh_database), build_fuzzy_index(fresh_database), write_names()
    )
    assert states(one) == states(two) == {IndexState.READY}
    async with UnitOfWork(fresh_database) as uow:
        assert len(await uow.personas.similar("meanwile", limit=100)) == 20


async def test_an_index_that_another_program_drops_is_missed(fresh_database: Database) -> None:
    """It is looked for once; then its absence breaks the unit, as any statement that fails, and is known again."""
    await build_fuzzy_index(fresh_database)
    async with UnitOfWork(fresh_database) as uow:
        await uow.personas.create(name="Melanie", template="t")
        assert len(await uow.personas.similar("melani")) == 1
    async with Database(fresh_database.url) as other:
        await drop_fuzzy_index(other)
    with pytest.raises(ConfigurationError, match="index --fuzzy"):
        async with UnitOfWork(fresh_database) as uow:
            await uow.personas.similar("melani")
    async with UnitOfWork(fresh_database) as uow:
        with pytest.raises(ConfigurationError, match="index --fuzzy"):
            await uow.personas.similar("melani")
        assert await uow.personas.count() == 1, "the unit goes on"


async def test_a_search_is_one_statement(fresh_database: Database) -> None:
    await build_fuzzy_index(fresh_database)
    async with UnitOfWork(fresh_database) as uow:
        talk = await uow.conversations.create(title="x")
        await uow.messages.append(talk.id, role="user", content="an adoption agency")

    async def operation() -> None:
        async with UnitOfWork(fresh_database, read_only=True) as uow:
            assert len(await uow.messages.similar("adpotion")) == 1

    counted = await count_calls(operation)
    assert (counted.statements, counted.round_trips) == (1, 1), counted.sent
    assert counted.function_calls <= 460


@on_sqlite
async def test_a_row_that_is_replaced_a_vacuum_and_a_table_that_is_copied(
    fresh_database: Database, backend: str, tmp_path: Path
) -> None:
    await build_fuzzy_index(fresh_database)
    async with UnitOfWork(fresh_database) as uow:
        talk = await uow.conversations.create(title="x")
        for text in VOCABULARY * 2:
            await uow.messages.append(talk.id, role="user", content=text)
    await fresh_database.execute("DELETE FROM messages WHERE position % 3 = 0")
    await fresh_database.execute("INSERT OR REPLACE INTO messages SELECT * FROM messages WHERE position > 4")
    async with fresh_database.autocommit() as connection:
        await connection.exec_driver_sql("VACUUM")
    async with UnitOfWork(fresh_database) as uow:
        await uow.messages.append(talk.id, role="user", content="zebra")
        await assert_index_is_right(uow)
        await assert_nothing_is_left_behind(uow)


@on_postgresql
async def test_a_database_that_knows_no_letters_is_told_plainly(
    fresh_database: Database, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = KNOWS_LETTERS.replace("=", "<>")
    monkeypatch.setattr("repositories.search.postgres_fuzzy.KNOWS_LETTERS", never)
    with pytest.raises(ConfigurationError, match="LC_CTYPE"):
        await build_fuzzy_index(fresh_database)


@on_postgresql
async def test_no_extension_is_needed(fresh_database: Database, backend: str) -> None:
    await build_fuzzy_index(fresh_database)
    async with UnitOfWork(fresh_database) as uow:
        await uow.personas.create(name="Melanie", template="t")
        assert len(await uow.personas.similar("melani")) == 1
    assert await fresh_database.fetch_value("SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'") == 0


@on_postgresql
async def test_a_build_that_is_cancelled_leaves_nothing_behind(fresh_database: Database, backend: str) -> None:
    async with fresh_database.autocommit() as connection:
        await connection.exec_driver_sql(f"SELECT pg_advisory_lock({ONE_BUILDER})")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(build_fuzzy_index(fresh_database), timeout=0.2)
        await connection.exec_driver_sql(f"SELECT pg_advisory_unlock({ONE_BUILDER})")
    assert await fresh_database.fetch_value("SHOW statement_timeout") == "30s"
    assert await fresh_database.fetch_value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


words = st.text("abéюß東İΣ", min_size=1, max_size=7)
STRICT = sa.text("""
SELECT CAST(strict_word_similarity(lower(word), lower(text)) AS float8)
FROM unnest(CAST(:words AS text[]), CAST(:texts AS text[])) WITH ORDINALITY AS pair (word, text, place)
ORDER BY place
""")

texts = st.text("abéюß東İΣ .—\n1", max_size=40)
plain = st.tuples(st.text("abA1", min_size=1, max_size=7), st.text("abcA1 ._-\n'\x7f", max_size=60))


@on_postgresql
async def test_we_count_as_pg_trgm_does(fresh_database: Database, backend: str) -> None:
    """Each number of ours against the server's own, for words that run together and apart."""
    await fresh_database.execute("CREATE EXTENSION pg_trgm")
    loop = asyncio.get_running_loop()

    @settings(max_examples=10, phases=[Phase.explicit, Phase.generate])
    @example([("ababb", "baaa bbaba aba bb")])  # where never to go back costs the best run
    @given(st.lists(st.tuples(words, texts) | plain, min_size=20, max_size=40))
    def check(pairs: list[tuple[str, str]]) -> None:
        asyncio.run_coroutine_threadsafe(compare(pairs), loop).result()

    async def compare(pairs: list[tuple[str, str]]) -> None:
        values = {"words": [word for word, _ in pairs], "texts": [text for _, text in pairs]}
        async with fresh_database.session() as session:
            theirs = (await (await session.core()).execute(STRICT, values)).scalars().all()
        assert [strict_word_similarity(word, text) for word, text in pairs] == theirs

    await asyncio.to_thread(check)


def test_what_is_passed_over_is_no_hit() -> None:
    """Of a text that resembles the question too little it does not matter how little; of any other it is exact."""

    @settings(max_examples=150)
    @example("ababb", "baaa bbaba aba bb")
    @given(st.text("abcd", min_size=1, max_size=7), st.text("abcde ", max_size=40))
    def check(word: str, text: str) -> None:
        [alike], [mean] = mean_similarities([word], [text]), mean_similarities([word, word], [text])
        assert mean == strict_word_similarity(word, text)
        assert alike == mean if mean >= LEAST_SIMILARITY else alike < LEAST_SIMILARITY

    check()


async def test_long_texts_are_compared_beside_other_tasks(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, threads = threading.current_thread(), list[bool]()

    def watched(words: Sequence[str], texts: Sequence[str]) -> list[float]:
        threads.append(threading.current_thread() is here)
        return mean_similarities(words, texts)

    monkeypatch.setattr("repositories.search.fuzzy_search.mean_similarities", watched)
    await build_fuzzy_index(fresh_database)
    async with UnitOfWork(fresh_database) as uow:
        talk = await uow.conversations.create(title="x")
        await uow.messages.append(talk.id, role="user", content="an adoption agency")
        await uow.messages.similar("adpotion")
        await uow.messages.append(talk.id, role="user", content="long " * 30_000 + "adoption")
        assert len(await uow.messages.similar("adpotion")) == 2
    assert threads == [True, False]


async def test_the_end_of_a_very_long_text_is_not_compared(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it in the index, which has found the text by another word."""
    monkeypatch.setattr("repositories.search.fuzzy_search.LONGEST", 100)
    await build_fuzzy_index(fresh_database)
    async with UnitOfWork(fresh_database) as uow:
        talk = await uow.conversations.create(title="x")
        await uow.messages.append(talk.id, role="user", content="adoptions " + "long " * 20 + "adoption")
        [hit] = await uow.messages.similar("adoption")
    assert hit.similarity < 1
