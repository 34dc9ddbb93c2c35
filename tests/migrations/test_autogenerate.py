"""`alembic revision --autogenerate` against either database gives a revision that runs on both, or says why not."""

import re
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.util import CommandError
from sqlalchemy.schema import conv

from database import Database, migrations
from database.history.portable import portable_sql
from database.url import parse_url
from models import utc_now
from models.types import Json, Money, UTCDateTime, Vector
from tests.migrations.support import autogenerate, copied, differences, sums, write_ini
from tests.support import Copies, on_postgresql, on_sqlite

Change = Callable[[sa.MetaData], None]

REMOVED = {
    # SQLite does not tell what else it holds: see the refusals.
    "sqlite": ("runs.finished_at", "modules.is_active"),
    "postgresql": ("runs.finished_at", "modules.is_active", "personas.image_path", "personas.extra_data")
    + ("conversations.title", "messages.fingerprint", "artifacts.size_bytes", "llm_calls.cost_usd"),
}


def additions(tables: sa.MetaData) -> None:
    personas = tables.tables["personas"]
    for column in (
        sa.Column("voice", sa.Text(), comment="How it sounds."),
        sa.Column("is_shared", sa.Boolean(), default=True, nullable=False),
        sa.Column("rank", sa.BigInteger(), default=7, nullable=False),
        sa.Column("tone", sa.Text(), default="calm", nullable=False),
        sa.Column("tags", Json(), default=list, nullable=False),
        sa.Column("budget_usd", Money(), default=0, nullable=False),
        sa.Column("seen_at", UTCDateTime(), default=utc_now, nullable=False),
        sa.Column("score", sa.Float(), default=0.5, nullable=False),
    ):
        personas.append_column(column)
    personas.append_constraint(sa.CheckConstraint("length(voice) BETWEEN 1 AND 50", name="voice_length"))
    personas.append_constraint(sa.UniqueConstraint("name", "id"))
    sa.Index("uq_personas_voice", sa.text("coalesce(voice, '')"), personas.c.id, unique=True)
    runs = tables.tables["runs"]
    runs.append_column(sa.Column("parent_id", sa.ForeignKey("runs.id", ondelete="SET NULL"), comment="What began it."))
    sa.Index(None, runs.c.parent_id)
    sa.Table(
        "notes",
        tables,
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("conversation_id", sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("embedding", Vector(), nullable=False),
        sa.Column("price", Money()),
        sa.Column("extra", Json(), nullable=False),
        sa.Column("made_at", UTCDateTime(), server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
    )


def changes(tables: sa.MetaData) -> None:
    messages = tables.tables["messages"]
    change_check(messages, "ck_messages_role", "role IN ('system', 'developer', 'user', 'assistant', 'tool', 'critic')")
    messages.c.content.nullable = True
    conversations = tables.tables["conversations"]
    conversations.c.archived_at.server_default = sa.DefaultClause(sa.text("CURRENT_TIMESTAMP"))
    conversations.c.provider_type.server_default = sa.DefaultClause("none")
    change_check(conversations, "ck_conversations_title_length", "length(title) BETWEEN 0 AND 300")
    key = ["idempotency_key", sa.text("coalesce(owner_id, 'nobody')")]
    change_index(tables.tables["runs"], "uq_runs_idempotency_key", *key)
    change_index(tables.tables["embedding_spaces"], "uq_embedding_spaces_active", "name")
    memory = tables.tables["conversation_memory"]
    (reference,) = [key for key in memory.foreign_key_constraints if key.column_keys == ["persona_id"]]
    memory.constraints.remove(reference)
    memory.append_constraint(sa.ForeignKeyConstraint(["persona_id"], ["personas.id"], ondelete="CASCADE"))


def removals(tables: sa.MetaData, places: tuple[str, ...]) -> None:
    for place in places:
        table, _, column = place.partition(".")
        drop_column(tables.tables[table], column)
    tables.remove(tables.tables["persona_modules"])
    drop_check(tables.tables["steps"], "ck_steps_status")
    drop_index(tables.tables["embeddings"], "uq_embeddings_source")
    drop_index(tables.tables["conversation_states"], "uq_conversation_states_key")


def drop_check(table: sa.Table, name: str) -> None:
    (old,) = [rule for rule in table.constraints if rule.name == name]
    table.constraints.remove(old)


def change_check(table: sa.Table, name: str, text: str) -> None:
    drop_check(table, name)
    table.append_constraint(sa.CheckConstraint(text, name=conv(name)))


def drop_index(table: sa.Table, name: str) -> sa.Index:
    (old,) = [index for index in table.indexes if index.name == name]
    table.indexes.remove(old)
    return old


def change_index(table: sa.Table, name: str, *columns: Any) -> None:
    old = drop_index(table, name)
    new = sa.Index(name, *columns, unique=True, **old.dialect_kwargs)
    table.append_constraint(new)


def drop_column(table: sa.Table, name: str) -> None:
    for rule in list(table.constraints):
        if isinstance(rule, sa.CheckConstraint) and name in str(rule.sqltext):
            table.constraints.remove(rule)
    table._columns.remove(table.c[name])


@pytest.mark.slow
async def test_a_revision_made_on_either_runs_on_both_with_rows_in_every_table(
    both_filled: dict[str, str], backend: str, tmp_path: Path
) -> None:
    ini = write_ini(tmp_path)
    tables = copied()
    assert await differences(both_filled[backend], ini, tables) is None
    additions(tables)
    changes(tables)
    removals(tables, REMOVED[backend])
    await autogenerate(both_filled[backend], ini, "change", tables)
    for kind, url in both_filled.items():
        place = parse_url(url)
        before = await sums(url, without=(*REMOVED[backend], "persona_modules"))
        await migrations.upgrade(place, config=ini)
        assert await differences(url, ini, tables) is None, kind
        assert await sums(url, without=(*REMOVED[backend], "persona_modules")) == before
        await migrations.downgrade(place, "-1", config=ini)
        # SQLite keeps no comments: what it dropped comes back without them.
        drift = await migrations.drift(place)
        assert [one for one in drift if backend == "postgresql" or not one.startswith("modify comment")] == [], kind
        await migrations.upgrade(place, config=ini)
        assert await sums(url, without=(*REMOVED[backend], "persona_modules")) == before


def text_becomes_a_number(tables: sa.MetaData) -> None:
    tables.tables["conversations"].c.provider_type.type = sa.BigInteger()


def a_key_that_nobody_can_guess(tables: sa.MetaData) -> None:
    tables.tables["runs"].append_column(sa.Column("batch_id", sa.Uuid(), nullable=False))


def money_by_default(tables: sa.MetaData) -> None:
    tables.tables["runs"].append_column(sa.Column("budget", Money(), default=Decimal("1.5"), nullable=False))


def a_native_enum(tables: sa.MetaData) -> None:
    tables.tables["runs"].append_column(sa.Column("colour", sa.Enum("red", "blue", name="colour")))


@pytest.fixture(scope="module")
async def looked_at(copies: Copies) -> AsyncIterator[str]:
    """A migrated database for all tests that only look at it."""
    url = await copies.migrated()
    yield url
    await copies.drop(url)


REFUSED: dict[Change, str] = {
    text_becomes_a_number: "The type of conversations.provider_type changes, and the databases convert values",
    a_key_that_nobody_can_guess: "runs.batch_id is NOT NULL and nothing could be given to the rows that are there",
    a_native_enum: "runs.colour is an enum that PostgreSQL keeps as a type of its own",
    money_by_default: "runs.budget is NOT NULL and nothing could be given to the rows that are there",
}


@pytest.mark.parametrize("change", REFUSED)
async def test_what_would_not_run_on_both_is_refused_in_a_sentence(
    looked_at: str, change: Change, tmp_path: Path
) -> None:
    tables = copied()
    change(tables)
    with pytest.raises(CommandError, match=f"^{re.escape(REFUSED[change])}[^\n]*[.]$"):
        await autogenerate(looked_at, write_ini(tmp_path), "change", tables)
    assert list((tmp_path / "revisions").iterdir()) == []


@on_sqlite
@pytest.mark.parametrize("place", ["personas.name", "artifacts.size_bytes", "message_embeddings.embedding"])
async def test_what_sqlite_cannot_tell_is_left_to_postgresql(looked_at: str, place: str, tmp_path: Path) -> None:
    tables = copied()
    removals(tables, (place,))
    with pytest.raises(CommandError, match=f"^SQLite does not tell whether {place} is text or JSON"):
        await autogenerate(looked_at, write_ini(tmp_path), "change", tables)


@on_postgresql
async def test_postgresqls_own_sql_is_refused_rather_than_written_for_sqlite(fresh_url: str, tmp_path: Path) -> None:
    async with Database(fresh_url) as database:
        await database.execute("ALTER TABLE runs ADD CONSTRAINT ck_runs_odd CHECK (result @> '{}'::jsonb::text::jsonb)")
    with pytest.raises(CommandError, match=r"^PostgreSQL's own SQL cannot be written for both databases: "):
        await autogenerate(fresh_url, write_ini(tmp_path), "change", copied())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("(role = ANY (ARRAY['a'::text, 'it''s'::text]))", "(role IN ('a', 'it''s'))"),
        ("name::text = ANY ((ARRAY['a'::character varying])::text[])", "CAST(name AS TEXT) IN ('a')"),
        ("length(title) >= 1 AND length(title) <= 255", "length(title) BETWEEN 1 AND 255"),
        ("part >= 0::double precision AND part <= 1::double precision", "part BETWEEN 0 AND 1"),
        ("COALESCE((persona_id)::text, ''::text)", "coalesce(CAST(persona_id AS TEXT), '')"),
        ("(status = 'active'::text)", "status = 'active'"),
        ("cost_usd >= 0::numeric", "cost_usd >= 0"),
    ],
)
def test_postgresqls_words_become_those_of_the_models(theirs: str, ours: str) -> None:
    assert portable_sql(theirs) == ours
