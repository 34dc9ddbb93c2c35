"""The statements that write one row or get it, built once: sent with its values, they give back what is stored."""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from database.prepared import Statement
from models import Base
from repositories.ownership import Condition, references_seen, table_of, visible, writable
from repositories.upsert import Insert, insert_into

MOST_UPDATES = 500
"""Kept: a table has one for each choice of columns that are changed together."""


def parameter(column: sa.Column[Any]) -> sa.BindParameter[Any]:
    """Not by the name of the column: a statement that sets columns takes such a one for its own."""
    return sa.bindparam(f"new_{column.name}", type_=column.type)


OWNER = sa.bindparam("new_owner_id", type_=sa.Text())


def parameters(values: Mapping[str, object], owner_id: str | None) -> dict[str, object]:
    """The values of each `parameter`, and of OWNER in a session of one."""
    given = {f"new_{name}": value for name, value in values.items()}
    if owner_id is not None:
        given["new_owner_id"] = owner_id
    return given


def new_row(dialect_name: str, model: type[Base], owned: bool, owner_id: sa.ColumnElement[str] | None = None) -> Insert:
    """All columns by `parameter`. No row where `owned` and the owner does not see all that it refers to.

    `owner_id`: whose the row is by what it refers to, in a session without owner. No row where another one is given.
    """
    table = table_of(model)
    values: dict[str, sa.ColumnElement[Any]] = {column.name: parameter(column) for column in table.columns}
    conditions = references_seen(model, parameter, OWNER) if owned else []
    if owner_id is not None:
        given = values["owner_id"]
        conditions.append(given.is_(None) | (given == owner_id))
        values["owner_id"] = owner_id
    if not conditions:
        return insert_into(dialect_name, table).values(values)
    return insert_selected(dialect_name, table, values, *conditions)


def insert_selected(
    dialect_name: str, table: sa.Table, values: Mapping[str, sa.ColumnElement[Any]], *conditions: Condition
) -> Insert:
    """A row for each of what the values and the conditions speak of; without conditions on parameters alone, one."""
    return insert_into(dialect_name, table).from_select(
        [*values], sa.select(*values.values()).where(*conditions), False
    )


@cache
def insert_statement(dialect_name: str, model: type[Base], owned: bool) -> Statement:
    return new_row(dialect_name, model, owned).returning(*table_of(model).columns)


@cache
def select_statement(model: type[Base], owned: bool) -> Statement:
    """Parameters: the id."""
    table = table_of(model)
    seen = visible(model, OWNER if owned else None)
    return sa.select(*table.columns).where(table.c.id == parameter(table.c.id), *seen)


@lru_cache(maxsize=MOST_UPDATES)
def update_statement(model: type[Base], names: tuple[str, ...], owned: bool, *conditions: Condition) -> Statement:
    """Parameters: the id, and the columns of these names. The conditions are such as are built once, too."""
    table = table_of(model)
    return (
        sa.update(table)
        .where(table.c.id == parameter(table.c.id), *writable(model, OWNER if owned else None), *conditions)
        .values({name: parameter(table.c[name]) for name in names})
        .returning(*table.columns)
    )
