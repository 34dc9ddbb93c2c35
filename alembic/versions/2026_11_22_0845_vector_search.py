"""vector search

Revision 3a9e64d0c7b1. 2026-11-22

SQLite only: every vector gets a number, and another one when it changes, so that a process that holds signatures of the
vectors in memory sees what it has to read anew. Triggers give the numbers by themselves, whichever program writes.
"""

import sqlalchemy as sa
from alembic import op

revision = "3a9e64d0c7b1"
down_revision = "7d1f0a3c5b28"
branch_labels = None
depends_on = None

KEYS = {"memory_embeddings": "memory_id", "message_embeddings": "message_id", "embeddings": "id"}


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        return
    op.create_table("vector_search", sa.Column("changes", sa.BigInteger(), nullable=False))
    # From the time of day, in thousandths of a millisecond: made anew, the tables begin beyond all that was ever given.
    op.execute(
        "INSERT INTO vector_search (changes) SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000"
    )
    for table, key in KEYS.items():
        make_numbers(table, key)


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        return
    for table in KEYS:
        for event in ("insert", "update", "delete"):
            op.execute(f"DROP TRIGGER {table}_search_{event}")
        op.execute(f"DROP TABLE {table}_search")
    op.execute("DROP TABLE vector_search")


def make_numbers(table: str, key: str) -> None:
    """`vector_search` counts every change; the count at a vector's own last change is its number."""
    count = "UPDATE vector_search SET changes = changes + 1;"
    take = f"DELETE FROM {table}_search WHERE row_id = %s.{key} AND embedding_space_id = %s.embedding_space_id;"
    put = (
        f"INSERT INTO {table}_search (number, row_id, embedding_space_id) "
        f"SELECT changes, new.{key}, new.embedding_space_id FROM vector_search;"
    )
    old, new = ("old", "old"), ("new", "new")
    op.create_table(
        f"{table}_search",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("row_id", sa.CHAR(32), nullable=False),
        sa.Column("embedding_space_id", sa.CHAR(32), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f(f"pk_{table}_search")),
        sa.UniqueConstraint("row_id", "embedding_space_id", name=op.f(f"uq_{table}_search_row_id_embedding_space_id")),
    )
    op.execute(
        f"INSERT INTO {table}_search (number, row_id, embedding_space_id) "
        f"SELECT changes + row_number() OVER (ORDER BY {key}), {key}, embedding_space_id FROM {table}, vector_search"
    )
    op.execute(
        f"UPDATE vector_search SET changes = max(changes, (SELECT coalesce(max(number), 0) FROM {table}_search))"
    )
    # Taken first: a REPLACE deletes without a trigger where a program has not set recursive_triggers.
    op.execute(f"CREATE TRIGGER {table}_search_insert AFTER INSERT ON {table} BEGIN {take % new} {count} {put} END")
    op.execute(
        f"CREATE TRIGGER {table}_search_update AFTER UPDATE OF {key}, embedding_space_id, embedding ON {table} "
        f"BEGIN {take % old} {take % new} {count} {put} END"
    )
    op.execute(f"CREATE TRIGGER {table}_search_delete AFTER DELETE ON {table} BEGIN {take % old} {count} END")
