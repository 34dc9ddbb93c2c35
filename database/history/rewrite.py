"""What autogenerate proposes, made into a revision that runs on both databases with rows in them, or refused."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from pgvector.sqlalchemy import VECTOR

from database.history.portable import DIALECTS, AnyType, portable_sql, read_back, stored
from models.types import Money

Default: TypeAlias = Callable[[sa.Column[Any]], str | sa.TextClause | None]

INDEX_OPERATIONS = (ops.CreateIndexOp, ops.DropIndexOp)


def rewrite(context: MigrationContext, revision: object, scripts: list[ops.MigrationScript]) -> None:
    """Hook of autogenerate (`process_revision_directives`)."""
    for script in scripts:
        assert script.upgrade_ops is not None
        assert script.downgrade_ops is not None
        up = [part for change in script.upgrade_ops.ops for part in _parts(change, _model_default)]
        for change in script.downgrade_ops.ops:
            _restore(change, context.dialect.name)
        down = [part for change in script.downgrade_ops.ops for part in _parts(change, _placeholder)]
        if revision == () and _needs_vector(up):
            up.insert(0, VectorExtensionOp())
        script.upgrade_ops.ops = up
        script.downgrade_ops.ops = down


class VectorExtensionOp(ops.MigrateOperation):
    """pgvector's types, before the first table that has one."""


@renderers.dispatch_for(VectorExtensionOp)
def _render_extension(context: AutogenContext, op: VectorExtensionOp) -> list[str]:
    return [
        'if op.get_context().dialect.name == "postgresql":',
        'op.execute("CREATE EXTENSION IF NOT EXISTS vector")',
        "",
    ]


def _needs_vector(changes: Iterable[ops.MigrateOperation]) -> bool:
    return any(
        isinstance(column, sa.Column) and isinstance(stored(column.type, "postgresql"), VECTOR)
        for change in changes
        if isinstance(change, ops.CreateTableOp)
        for column in change.columns
    )


def _parts(change: ops.MigrateOperation, default: Default) -> Iterator[ops.MigrateOperation]:
    """One change of a table in as many steps as it takes to keep its rows and its indexes.

    Indexes stand outside of the batch: no database copies a table for them, and a batch loses their expressions.
    """
    if not isinstance(change, ops.ModifyTableOps):
        yield change
        return
    for drop in (inner for inner in change.ops if isinstance(inner, ops.DropIndexOp)):
        drop.kw = {}
        yield drop
    batch = [inner for inner in change.ops if not isinstance(inner, INDEX_OPERATIONS)]
    after = [last for inner in batch for last in _settle(inner, default)]
    for changes in (batch, after):
        if changes:
            yield ops.ModifyTableOps(change.table_name, changes, schema=change.schema)
    yield from (inner for inner in change.ops if isinstance(inner, ops.CreateIndexOp))


def _settle(change: ops.MigrateOperation, default: Default) -> Iterator[ops.AlterColumnOp]:
    """Make a change safe for the rows that are there, in place; what must follow in a batch of its own is yielded."""
    if isinstance(change, ops.AlterColumnOp):
        if change.modify_type is not None and not _same_kind(change.existing_type, change.modify_type):
            raise CommandError(
                f"The type of {change.table_name}.{change.column_name} changes, and the databases convert values "
                "differently: add a column, move the values in a revision of your own, then drop the old one."
            )
        change.existing_type = change.existing_comment = None
        change.existing_server_default = False
    if isinstance(change, ops.AddColumnOp) and isinstance(stored(change.column.type, "postgresql"), sa.Enum):
        raise CommandError(
            f"{change.table_name}.{change.column.name} is an enum that PostgreSQL keeps as a type of its own, which a "
            "new column does not create: use text with a CHECK, as models.types.StringEnum."
        )
    if isinstance(change, ops.AddColumnOp) and not change.column.nullable and change.column.server_default is None:
        column = change.column = change.column._copy()
        value = default(column)
        if value is None:
            raise CommandError(
                f"{change.table_name}.{column.name} is NOT NULL and nothing could be given to the rows that are there, "
                "here or in a downgrade: let it be nullable in one revision, and change that in another."
            )
        column.server_default = sa.DefaultClause(value)
        yield ops.AlterColumnOp(change.table_name, column.name, schema=change.schema, modify_server_default=None)


def _same_kind(before: AnyType | None, after: AnyType) -> bool:
    """Text of another length, integers of another width: all that both databases change alike."""
    kinds = [before, *(stored(after, database) for database in DIALECTS)]
    return any(all(isinstance(kind, family) for kind in kinds) for family in (sa.String, sa.Integer))


def _model_default(column: sa.Column[Any]) -> str | sa.TextClause | None:
    """The model's default as both databases write it."""
    default = column.default
    value: object = None
    if isinstance(default, sa.ColumnDefault):
        value = default.arg(None) if default.is_callable else default.arg
    match value:
        case bool():
            return sa.text("true" if value else "false")
        case int() | float() | Decimal() if not isinstance(column.type, Money) or not value:
            return str(value)
        case datetime():
            return sa.text("CURRENT_TIMESTAMP")
        case str():
            return str(value)
        case dict() | list():
            return json.dumps(value)
    return None


def _placeholder(column: sa.Column[Any]) -> str | sa.TextClause | None:
    """For a column that a downgrade puts back, whose values are gone."""
    match stored(column.type, "postgresql"):
        case sa.Boolean():
            return sa.text("false")
        case sa.Integer() | sa.Numeric():
            return "0"
        case sa.String():
            return ""
        case sa.DateTime():
            return sa.text("CURRENT_TIMESTAMP")
        case sa.JSON():
            return "{}"
    return None


def _restore(change: ops.MigrateOperation, database: str) -> None:
    """What a downgrade puts back was read from one database: say it in the words of both, in place."""
    match change:
        case ops.ModifyTableOps():
            for inner in change.ops:
                _restore(inner, database)
        case ops.CreateTableOp():
            for item in change.columns:
                if isinstance(item, sa.Column):
                    _restore_column(item, database)
                elif isinstance(item, sa.CheckConstraint):
                    item.sqltext = sa.text(portable_sql(str(item.sqltext)))
        case ops.AddColumnOp():
            _restore_column(change.column, database)
        case ops.AlterColumnOp():
            if change.modify_type is not None:
                column = sa.Column(change.column_name, change.modify_type)
                change.modify_type = read_back(column, database)
            if isinstance(change.modify_server_default, sa.DefaultClause):
                change.modify_server_default = _default(change.modify_server_default)
        case ops.CreateCheckConstraintOp():
            change.condition = portable_sql(str(change.condition))
        case ops.CreateIndexOp():
            change.columns = [
                item if isinstance(item, str | sa.Column) else sa.text(portable_sql(str(item)))
                for item in change.columns
            ]
            where = change.kw.pop("postgresql_where", None)
            where = change.kw.pop("sqlite_where", None) if where is None else where
            if where is not None:
                clause = sa.text(portable_sql(str(where)))
                change.kw.update(postgresql_where=clause, sqlite_where=clause)


def _restore_column(column: sa.Column[Any], database: str) -> None:
    column.type = read_back(column, database)
    if isinstance(column.server_default, sa.DefaultClause):
        column.server_default = _default(column.server_default)


def _default(default: sa.DefaultClause) -> sa.DefaultClause:
    return sa.DefaultClause(sa.text(portable_sql(str(default.arg))))
