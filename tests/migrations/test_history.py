"""The one history: up, down and up again on both databases, with rows in every table, whatever fails on the way."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from database import Database, migrations
from database.errors import ConfigurationError, InvalidInputError, StoreError
from database.url import parse_url
from models import metadata
from tests.migrations.support import ROWS, named_things, newest, ours, sums, write_ini, write_revision
from tests.support import on_postgresql, on_sqlite

# A column, changed rules on tables that others refer to, and a move of data.
UPGRADE = """
with op.batch_alter_table("conversations") as batch:
    batch.add_column(sa.Column("topic", sa.Text(), nullable=True))
    batch.drop_constraint("ck_conversations_title_length", type_="check")
    batch.create_check_constraint("ck_conversations_title_length", "length(title) BETWEEN 0 AND 300")
op.execute("UPDATE conversations SET topic = title, title = 'moved'")
with op.batch_alter_table("runs") as batch:
    batch.alter_column("actor", existing_type=sa.Text(), nullable=True)
with op.batch_alter_table("messages") as batch:
    batch.alter_column("status", existing_type=sa.Text(), nullable=True)
with op.batch_alter_table("personas") as batch:
    batch.alter_column("name", existing_type=sa.Text(), nullable=True)
"""
DOWNGRADE = """
with op.batch_alter_table("personas") as batch:
    batch.alter_column("name", existing_type=sa.Text(), nullable=False)
with op.batch_alter_table("messages") as batch:
    batch.alter_column("status", existing_type=sa.Text(), nullable=False)
with op.batch_alter_table("runs") as batch:
    batch.alter_column("actor", existing_type=sa.Text(), nullable=False)
op.execute("UPDATE conversations SET title = topic")
with op.batch_alter_table("conversations") as batch:
    batch.drop_constraint("ck_conversations_title_length", type_="check")
    batch.create_check_constraint("ck_conversations_title_length", "length(title) BETWEEN 0 AND 255")
    batch.drop_column("topic")
"""


async def foreign_keys_hold(url: str) -> bool:
    if not url.startswith("sqlite"):
        return True
    async with Database(url) as database:
        return await database.fetch_all("PRAGMA foreign_key_check") == []


async def test_an_empty_database_becomes_what_the_models_say_and_nothing_again(empty_url: str) -> None:
    place = parse_url(empty_url)
    assert await migrations.current(place) == ()
    assert await migrations.pending(place) == ours()
    await migrations.upgrade(place)
    assert await migrations.current(place) == (newest(),)
    assert await migrations.pending(place) == ()
    assert await migrations.drift(place) == []
    built = await named_things(empty_url)
    await migrations.downgrade(place, "base")
    async with Database(empty_url) as database:
        assert [name for name in metadata.tables if await database.table_exists(name)] == []
    await migrations.upgrade(place)
    assert await named_things(empty_url) == built


async def test_a_later_revision_keeps_every_row_up_down_and_up_again(filled_url: str, tmp_path: Path) -> None:
    place = parse_url(filled_url)
    ini = write_ini(tmp_path)
    write_revision(tmp_path, "later", UPGRADE, DOWNGRADE)
    names = await named_things(filled_url)
    before = await sums(filled_url)
    assert {count for count, _ in before.values()} == {ROWS}
    unmoved = await sums(filled_url, without=("conversations.title",))

    await migrations.upgrade(place, config=ini)
    assert await sums(filled_url, without=("conversations.title",)) == unmoved
    assert await named_things(filled_url) == names
    assert await foreign_keys_hold(filled_url)
    async with Database(filled_url) as database:
        assert (
            await database.fetch_value("SELECT count(*) FROM conversations WHERE topic LIKE 'Conversation %'") == ROWS
        )

    await migrations.downgrade(place, "-1", config=ini)
    assert await sums(filled_url) == before
    assert await named_things(filled_url) == names
    assert await migrations.drift(place) == []

    await migrations.upgrade(place, config=ini)
    assert await sums(filled_url, without=("conversations.title",)) == unmoved
    assert await foreign_keys_hold(filled_url)


@on_sqlite
async def test_a_copied_table_keeps_its_triggers_and_its_indexes_on_expressions(
    filled_url: str, tmp_path: Path
) -> None:
    async with Database(filled_url) as database:
        await database.execute(
            "CREATE TRIGGER runs_ai AFTER INSERT ON runs BEGIN UPDATE runs SET error = 'seen' WHERE id = new.id; END"
        )
    write_revision(tmp_path, "copy", 'with op.batch_alter_table("runs", recreate="always"): pass')
    names = await named_things(filled_url)
    assert {"trigger runs_ai", "index uq_runs_idempotency_key"} <= names
    await migrations.upgrade(parse_url(filled_url), config=write_ini(tmp_path))
    assert await named_things(filled_url) == names
    async with Database(filled_url) as database:
        sql = await database.fetch_value("SELECT sql FROM sqlite_master WHERE name = 'uq_runs_idempotency_key'")
        assert str(sql).endswith("(idempotency_key, coalesce(owner_id, ''))")


@on_sqlite
async def test_a_revision_that_leaves_rows_without_parents_is_undone(filled_url: str, tmp_path: Path) -> None:
    write_revision(tmp_path, "orphans", 'op.execute("DELETE FROM personas")')
    before = await sums(filled_url)
    with pytest.raises(ConfigurationError, match=r"^Rows would refer to rows that do not exist .*persona_modules"):
        await migrations.upgrade(parse_url(filled_url), config=write_ini(tmp_path))
    assert await sums(filled_url) == before
    assert await migrations.current(parse_url(filled_url)) == (newest(),)


class PulledPlugError(Exception):
    pass


@contextmanager
def plug_pulled_before(statement: int) -> Iterator[list[str]]:
    """Fail before the statement of this number is sent; the statements that were sent."""
    sent: list[str] = []

    def count(connection: sa.Connection, cursor: Any, text: str, *rest: Any) -> None:
        if len(sent) == statement:
            raise PulledPlugError
        sent.append(text)

    event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        yield sent
    finally:
        event.remove(sa.Engine, "before_cursor_execute", count)


async def test_a_failure_at_any_statement_leaves_nothing_and_can_be_run_again(filled_url: str, tmp_path: Path) -> None:
    place = parse_url(filled_url)
    ini = write_ini(tmp_path)
    conversations_only = UPGRADE.partition('with op.batch_alter_table("runs")')[0]
    write_revision(tmp_path, "later", conversations_only, DOWNGRADE[DOWNGRADE.index("op.execute") :])
    names, before = await named_things(filled_url), await sums(filled_url)
    with plug_pulled_before(-1) as sent:
        await migrations.upgrade(place, config=ini)
    await migrations.downgrade(place, "-1", config=ini)
    changing = [n for n, text in enumerate(sent) if re.match(r"\s*(CREATE|ALTER|DROP|INSERT|UPDATE|DELETE)", text)]
    assert len(changing) >= 6
    for n in [0, *changing, len(sent) - 1]:
        with plug_pulled_before(n), pytest.raises(PulledPlugError):
            await migrations.upgrade(place, config=ini)
        assert await migrations.current(place) == (newest(),), sent[n]
    assert await named_things(filled_url) == names
    assert await sums(filled_url) == before
    await migrations.upgrade(place, config=ini)
    assert await migrations.current(place, config=ini) == ("later",)


async def test_what_the_database_refuses_is_said_with_its_statement_but_without_rows(
    filled_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_revision(
        tmp_path,
        "refused",
        """
        op.execute("UPDATE conversations SET title = 'sentinel'")
        with op.batch_alter_table("conversations") as batch:
            batch.create_unique_constraint("uq_conversations_title", ["title"])
        """,
    )
    with pytest.raises(StoreError) as refused:
        await migrations.upgrade(parse_url(filled_url), config=write_ini(tmp_path))
    assert "uq_conversations_title" in caplog.text or "INSERT INTO _alembic_tmp_conversations" in caplog.text
    assert "sentinel" not in caplog.text + str(refused.value)


@on_postgresql
async def test_a_value_that_the_database_quotes_is_not_said(
    filled_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_revision(tmp_path, "refused", 'op.execute("SELECT CAST(title AS uuid) FROM conversations")')
    with pytest.raises(InvalidInputError) as refused:
        await migrations.upgrade(parse_url(filled_url), config=write_ini(tmp_path))
    assert "SELECT CAST(title AS uuid) FROM conversations" in caplog.text
    assert "Conversation " not in caplog.text + str(refused.value)


async def test_a_revision_that_does_not_exist_is_our_error(empty_url: str) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        await migrations.upgrade(parse_url(empty_url), "nowhere")


async def test_a_database_ahead_of_the_files_is_our_error(filled_url: str, tmp_path: Path) -> None:
    ini = write_ini(tmp_path)
    write_revision(tmp_path, "later", "pass")
    await migrations.upgrade(parse_url(filled_url), config=ini)
    with pytest.raises(ConfigurationError, match="Can't locate revision identified by 'later'"):
        await migrations.upgrade(parse_url(filled_url))
