"""The one place where INSERT .. ON CONFLICT is made: the words are the same, the dialects' classes are not."""

from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from models import Base

Insert: TypeAlias = postgresql.Insert | sqlite.Insert


def insert_into(dialect_name: str, table: sa.Table | type[Base]) -> Insert:
    """An INSERT that knows `on_conflict_do_update` and `on_conflict_do_nothing`, for this database.

    Into a model instead of a table its RETURNING gives entities.
    """
    if dialect_name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def writes_in_cte(dialect_name: str) -> bool:
    """Whether one statement can write two tables, as `WITH i AS (INSERT ..) UPDATE ..` does."""
    return dialect_name == "postgresql"


def was_inserted(table: sa.Table) -> sa.ColumnElement[bool]:
    """In RETURNING of an upsert on PostgreSQL: a new row has no earlier version, so no `xmax`."""
    return sa.literal_column(f"{table.name}.xmax", sa.BigInteger) == sa.literal_column("0")
