"""What autogenerate proposes, made into a revision that runs on both databases with rows in them, or refused."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from pgvector.sqlalchemy import VECTOR

from database.history.portable import DIALECTS, AnyType, portable_sql, read_back, stored
from models.types import Money

INDEX_OPERATIONS = (ops.CreateIndexOp, ops.DropIndexOp)


def rewrite(context: MigrationContext, revision: object, scripts: list[ops.MigrationScript]) -> None:
    """Hook of autogenerate (`process_revision_directives`)."""
    for script in scripts:
        assert script.upgrade_ops is not None
        assert script.downgrade_ops is not None
        up = [change for change in script.upgrade_ops.ops for change in _upgrade(change)]
        if revision == () and _needs_vector(up):
            up.insert(0, VectorExtensionOp())
        script.upgrade_ops.ops = up
        database = context.dialect.name
        for change in script.downgrade_ops.ops:
            _restore(change, database)
        script.downgrade_ops.ops = [part for change in script.downgrade_ops.ops for part in _parts(change)]


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


def _parts(change: ops.MigrateOperation) -> Iterator[ops.MigrateOperation]:
    """Indexes outside of the batch: neither database copies a table for them, and a batch loses expressions."""
    if not isinstance(change, ops.ModifyTableOps):
        yield change
        return
    yield from (op for op in change.ops if isinstance(op, ops.DropIndexOp))
    rest = [op for op in change.ops if not isinstance(op, INDEX_OPERATIONS)]
    if rest:
        yield ops.ModifyTableOps(change.table_name, rest, schema=change.schema)
    yield from (op for op in change.ops if isinstance(op, ops.CreateIndexOp))


def _upgrade(change: ops.MigrateOperation) -> Iterator[ops.MigrateOperation]:
    for part in _parts(change):
        yield part
        if isinstance(part, ops.ModifyTableOps):
            settled = [op for inner in part.ops for op in _settle(inner)]
            if settled:
                yield ops.ModifyTableOps(part.table_name, settled, schema=part.schema)


def _settle(change: ops.MigrateOperation) -> Iterator[ops.AlterColumnOp]:
    """Make one change of a table safe for the rows in it; what must follow in a second batch is yielded."""
    if isinstance(change, ops.AlterColumnOp):
        place = f"{change.table_name}.{change.column_name}"
        if change.modify_type is not None and not _same_kind(change.existing_type, change.modify_type):
            raise CommandError(
                f"The type of {place} changes, and the databases convert values differently: add a column, move the "
                "values in a revision of your own, then drop the old one."
            )
        change.existing_type = None
    if isinstance(change, ops.AddColumnOp) and not change.column.nullable and change.column.server_default is None:
        column = change.column = change.column._copy()
        column.server_default = sa.DefaultClause(_literal(f"{change.table_name}.{column.name}", column))
        yield ops.AlterColumnOp(change.table_name, column.name, schema=change.schema, modify_server_default=None)


def _same_kind(before: AnyType | None, after: AnyType) -> bool:
    """Text of another length, integers of another width: all that both databases change alike."""
    kinds = [before, *(stored(after, database) for database in DIALECTS)]
    return any(all(isinstance(kind, family) for kind in kinds) for family in (sa.String, sa.Integer))


def _literal(place: str, column: sa.Column[Any]) -> str | sa.TextClause:
    """The model's default as both databases write it, for the rows that are there already."""
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
    raise CommandError(
        f"{place} is NOT NULL and has no default that both databases could give to the rows that are there: "
        "give it a plain default, or make it nullable, fill it, and make it NOT NULL in a later revision."
    )


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
            change.existing_type = None
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
