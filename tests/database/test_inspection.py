"""A look at a database: how it compares vectors, and which foreign keys no index serves."""

import sqlalchemy as sa

from database import Session
from database.inspection import ForeignKey, foreign_keys_without_index, vector_support
from tests.support import on_sqlite

# What index `notes` has, and whether it serves the foreign key of conversation_id.
INDEXES = {
    "CREATE INDEX {name} ON {table} (conversation_id, body)": True,
    "CREATE INDEX {name} ON {table} (conversation_id, lower(body))": True,
    "CREATE UNIQUE INDEX {name} ON {table} (conversation_id)": True,
    "CREATE INDEX {name} ON {table} (body, conversation_id)": False,
    "CREATE INDEX {name} ON {table} (lower(body), conversation_id)": False,
    "CREATE INDEX {name} ON {table} (conversation_id) WHERE body IS NULL": False,
    "SELECT 1": False,
}


async def test_every_foreign_key_of_ours_has_its_index(session: Session) -> None:
    assert await foreign_keys_without_index(await session.core()) == []


async def test_a_foreign_key_needs_a_whole_index_that_begins_with_it(session: Session) -> None:
    connection = await session.core()
    kind = sa.Uuid().compile(dialect=connection.dialect)
    for number, index in enumerate(INDEXES):
        columns = f"conversation_id {kind} REFERENCES conversations (id), body TEXT"
        await connection.execute(sa.text(f"CREATE TABLE notes_{number} ({columns})"))
        await connection.execute(sa.text(index.format(name=f"ix_notes_{number}", table=f"notes_{number}")))

    assert await foreign_keys_without_index(connection) == [
        ForeignKey(f"notes_{number}", ("conversation_id",), "conversations")
        for number, serves in enumerate(INDEXES.values())
        if not serves
    ]


async def test_a_key_of_two_columns_is_served_in_either_order(session: Session) -> None:
    connection = await session.core()
    await connection.execute(sa.text("CREATE TABLE places (x BIGINT, y BIGINT, PRIMARY KEY (x, y))"))
    for name, primary_key in (("own", "y, x, z"), ("apart", "x, z, y")):
        columns = f"x BIGINT, y BIGINT, z BIGINT, PRIMARY KEY ({primary_key})"
        sql = f"CREATE TABLE {name} ({columns}, FOREIGN KEY (x, y) REFERENCES places (x, y))"
        await connection.execute(sa.text(sql))

    assert await foreign_keys_without_index(connection) == [ForeignKey("apart", ("x", "y"), "places")]


@on_sqlite
async def test_a_key_that_is_the_rowid_needs_no_index(session: Session) -> None:
    connection = await session.core()
    await connection.execute(sa.text("CREATE TABLE places (id INTEGER PRIMARY KEY)"))
    await connection.execute(sa.text("CREATE TABLE notes (id INTEGER PRIMARY KEY REFERENCES places (id))"))

    assert await foreign_keys_without_index(connection) == []


async def test_what_compares_vectors_says_its_version(session: Session, backend: str) -> None:
    support = await vector_support(await session.core())

    assert support.name == {"sqlite": "numpy", "postgresql": "pgvector"}[backend]
    assert support.version is not None
    assert [int(part) for part in support.version.split(".")[:2]] >= [int(part) for part in support.least.split(".")]
