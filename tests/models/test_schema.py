"""The database is built as the models say: names, comments, and an index for every foreign key."""

import re

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Inspector

from database import Session
from models import metadata
from tests.models.catalogue import FACTORIES
from tests.support import on_postgresql

TABLES = {
    "personas",
    "modules",
    "persona_modules",
    "conversations",
    "messages",
    "message_embeddings",
    "conversation_states",
    "conversation_memory",
    "memory_embeddings",
    "embedding_spaces",
    "embeddings",
    "runs",
    "steps",
    "artifacts",
    "llm_calls",
}
pytestmark = pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")

OF_CONSTRAINTS = ("pk_", "uq_", "fk_", "ck_")


def names_in(inspector: Inspector) -> set[str]:
    """The name of each constraint that the database knows."""
    found: set[str | None] = set()
    for table in sorted(TABLES):
        found.add(inspector.get_pk_constraint(table)["name"])
        found.update(item["name"] for item in inspector.get_foreign_keys(table))
        found.update(item["name"] for item in inspector.get_unique_constraints(table))
        found.update(item["name"] for item in inspector.get_check_constraints(table))
    assert None not in found
    return {str(name) for name in found}


async def index_names(session: Session, backend: str) -> set[str]:
    """Read from the catalogue itself: reflection skips indexes with expressions on SQLite."""
    sql = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%'",
        "postgresql": "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'",
    }[backend]
    rows = await (await session.core()).execute(sa.text(sql))
    return {str(name) for name in rows.scalars()}


def expected_names() -> tuple[set[str], set[str]]:
    """(constraints, indexes) by the convention, from the tables' columns alone."""
    constraints, indexes = set(), set()
    for table in metadata.tables.values():
        for constraint in table.constraints:
            columns = "_".join(column.name for column in constraint.columns)  # type: ignore[attr-defined]  # only CHECKs may have none
            match constraint:
                case sa.PrimaryKeyConstraint():
                    constraints.add(f"pk_{table.name}")
                case sa.ForeignKeyConstraint():
                    constraints.add(f"fk_{table.name}_{columns}_{constraint.referred_table.name}")
                case sa.UniqueConstraint():
                    constraints.add(f"uq_{table.name}_{columns}")
                case _:
                    constraints.add(str(constraint.name))
        for index in table.indexes:
            plain = [column.name for column in index.columns]
            name = str(index.name) if index.unique else f"ix_{table.name}_{'_'.join(plain)}"
            indexes.add(name)
    return constraints, indexes


def test_every_table_is_there_and_has_a_factory() -> None:
    assert set(metadata.tables) == TABLES == set(FACTORIES)


async def test_constraints_are_named_by_the_convention_on_both_databases(session: Session) -> None:
    connection = await session.connection()
    found = await connection.run_sync(lambda inner: names_in(sa.inspect(inner)))
    expected, _ = expected_names()
    assert found == expected
    assert all(name.startswith(OF_CONSTRAINTS) for name in found)


async def test_indexes_are_named_by_the_convention_on_both_databases(session: Session, backend: str) -> None:
    _, expected = expected_names()
    found = await index_names(session, backend)
    assert expected <= found
    # What else there is: the indexes behind keys, and the history's own.
    others = {name for name in found - expected if not re.match("pk_|uq_|migration_checksums|.*_search_vector$", name)}
    assert others == set()


async def test_no_name_is_cut_by_postgresql(session: Session) -> None:
    constraints, indexes = expected_names()
    assert max(map(len, constraints | indexes)) <= 63


async def test_every_foreign_key_has_an_index_that_starts_with_it(session: Session) -> None:
    def unled(connection: sa.Connection) -> set[str]:
        inspector = sa.inspect(connection)
        found = set()
        for table in TABLES:
            keys = {item["constrained_columns"][0] for item in inspector.get_foreign_keys(table)}
            led = {inspector.get_pk_constraint(table)["constrained_columns"][0]}
            led |= {str(item["column_names"][0]) for item in inspector.get_unique_constraints(table)}
            led |= {index.columns[0].name for index in metadata.tables[table].indexes if _starts_with_column(index)}
            found |= {f"{table}.{key}" for key in keys - led}
        return found

    assert await (await session.connection()).run_sync(unled) == set()


def _starts_with_column(index: sa.Index) -> bool:
    return isinstance(index.expressions[0], sa.Column)


def test_every_column_says_what_it_means() -> None:
    silent = [
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if not column.comment
    ]
    assert silent == []


@on_postgresql
async def test_postgresql_knows_the_comments(session: Session) -> None:
    connection = await session.connection()
    columns = sa.text(
        "SELECT relname, attname, col_description(attrelid, attnum) FROM pg_attribute"
        " JOIN pg_class ON pg_class.oid = attrelid WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped"
    )
    comments = {(table, column): comment for table, column, comment in await connection.execute(columns)}
    for table in metadata.tables.values():
        for column in table.columns:
            assert comments[table.name, column.name] == column.comment


@on_postgresql
async def test_postgresql_has_text_without_length_and_big_integers_only(session: Session) -> None:
    columns = sa.text("SELECT table_name, data_type FROM information_schema.columns WHERE table_schema = 'public'")
    rows = (await (await session.core()).execute(columns)).all()
    assert {kind for table, kind in rows if table in TABLES} == {
        "uuid",
        "text",
        "bigint",
        "boolean",
        "jsonb",
        "numeric",
        "double precision",
        "timestamp with time zone",
        "tsvector",
        "USER-DEFINED",
    }
