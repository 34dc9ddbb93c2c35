"""What alembic lacks for one history on two databases: CHECKs compared by content, and batch changes that lose nothing.

Importing this module replaces alembic's handling of the two dialects; only env.py does.
"""

from typing import Any

import sqlalchemy as sa
from alembic.ddl._autogen import ComparisonResult
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations.batch import ApplyBatchImpl
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateIndex, conv

from database.errors import StoreError


def _version_table(version_table: str, version_table_schema: str | None) -> sa.Table:
    """Alembic's own table, its text without a length as everywhere else."""
    key = sa.PrimaryKeyConstraint("version_num", name=f"pk_{version_table}")
    column = sa.Column("version_num", sa.Text, nullable=False)
    return sa.Table(version_table, sa.MetaData(), column, key, schema=version_table_schema)


class OnPostgres(PostgresqlImpl):
    """The server keeps a CHECK in its own words, so it is asked to put the model's into them as well."""

    __dialect__ = "postgresql"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._there: dict[str, dict[str, str]] = {}
        self._wanted: dict[str, dict[str, str]] = {}

    def version_table_impl(
        self, *, version_table: str, version_table_schema: str | None, version_table_pk: bool, **kw: Any
    ) -> sa.Table:
        return _version_table(version_table, version_table_schema)

    def compare_check_constraint(
        self, metadata_constraint: sa.CheckConstraint, reflected_constraint: sa.CheckConstraint
    ) -> ComparisonResult:
        table = metadata_constraint.table
        assert isinstance(table, sa.Table)
        name = str(reflected_constraint.name)
        if table.fullname not in self._there:
            assert self.connection is not None
            place = self.dialect.identifier_preparer.format_table(table)
            self._there[table.fullname] = _checks(self.connection, place)
            self._wanted[table.fullname] = _put_into_words(self.connection, table)
        wanted = self._wanted[table.fullname].get(name)
        if wanted is None:
            return ComparisonResult.Skip("the server did not take it on trial")
        return _compared(self._there[table.fullname].get(name), wanted)


def _put_into_words(connection: Connection, table: sa.Table) -> dict[str, str]:
    """The model's CHECKs as the server writes them, tried on a table that is gone at once; none where it refuses."""
    columns = [sa.Column(column.name, column.type) for column in table.columns]
    checks = [
        sa.CheckConstraint(rule.sqltext, name=conv(str(rule.name)))
        for rule in table.constraints
        if isinstance(rule, sa.CheckConstraint) and rule.name
    ]
    scratch = sa.Table("persona_store_scratch", sa.MetaData(), *columns, *checks, prefixes=["TEMPORARY"])
    savepoint = connection.begin_nested()
    try:
        scratch.create(connection, checkfirst=False)
        return _checks(connection, scratch.name)
    except StoreError:
        return {}
    finally:
        savepoint.rollback()


def _checks(connection: Connection, table: str) -> dict[str, str]:
    query = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = CAST(:table AS regclass)"
    return {str(name): str(text) for name, text in connection.execute(sa.text(query), {"table": table})}


def _compared(there: str | None, wanted: str | None) -> ComparisonResult:
    return ComparisonResult.Equal() if there == wanted else ComparisonResult.Different("its expression differs")


def _words(sql: str) -> str:
    return " ".join(sql.split())


class OnSQLite(SQLiteImpl):
    """SQLite's reflection does not see indexes on expressions: their SQL as SQLite keeps it stands in for it."""

    __dialect__ = "sqlite"
    transactional_ddl = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._kept: dict[str, list[str]] = {}

    def version_table_impl(
        self, *, version_table: str, version_table_schema: str | None, version_table_pk: bool, **kw: Any
    ) -> sa.Table:
        return _version_table(version_table, version_table_schema)

    def compare_check_constraint(
        self, metadata_constraint: sa.CheckConstraint, reflected_constraint: sa.CheckConstraint
    ) -> ComparisonResult:
        text = metadata_constraint.sqltext.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True})
        return _compared(_words(str(reflected_constraint.sqltext)), _words(str(text)))

    def correct_for_autogen_constraints(
        self,
        conn_unique_constraints: set[sa.UniqueConstraint],
        conn_indexes: set[sa.Index],
        metadata_unique_constraints: set[sa.UniqueConstraint],
        metadata_indexes: set[sa.Index],
    ) -> None:
        """Take equal indexes on expressions out of the comparison, and put those into it that only the file has."""
        everything = (metadata_indexes, conn_indexes, metadata_unique_constraints, conn_unique_constraints)
        table = next((item.table for items in everything for item in items if item.table is not None), None)
        if table is None:
            return
        unseen = self._unseen(table.name, {str(index.name) for index in conn_indexes}, "index")
        for index in [index for index in metadata_indexes if index.name in unseen]:
            if _words(str(CreateIndex(index).compile(dialect=self.dialect))) == _words(unseen[str(index.name)]):
                metadata_indexes.discard(index)
                del unseen[str(index.name)]
        if unseen:
            conn_indexes.update(_as_read(name, table.name, sql) for name, sql in unseen.items())

    def compare_indexes(self, metadata_index: sa.Index, reflected_index: sa.Index) -> ComparisonResult:
        if "sql" in reflected_index.info:
            return ComparisonResult.Different("its expression differs")
        return super().compare_indexes(metadata_index, reflected_index)

    def prep_table_for_batch(self, batch_impl: ApplyBatchImpl, table: sa.Table) -> None:
        """A batch copies what was reflected: keep the SQL of what was not, and of triggers, which DROP TABLE takes."""
        indexes = self._unseen(table.name, {str(index.name) for index in table.indexes}, "index")
        triggers = self._unseen(table.name, set(), "trigger")
        self._kept[batch_impl.temp_table_name] = [*indexes.values(), *triggers.values()]

    def rename_table(
        self, old_table_name: str, new_table_name: str, schema: str | sa.quoted_name | None = None
    ) -> None:
        super().rename_table(old_table_name, new_table_name, schema)
        for sql in self._kept.pop(old_table_name, []):
            assert self.connection is not None
            self.connection.exec_driver_sql(sql)

    def _unseen(self, table: str, seen: set[str], kind: str) -> dict[str, str]:
        assert self.connection is not None
        query = "SELECT name, sql FROM sqlite_master WHERE type = :kind AND tbl_name = :table AND sql IS NOT NULL"
        rows = self.connection.execute(sa.text(query), {"kind": kind, "table": table})
        return {name: sql for name, sql in rows if name not in seen}


def _as_read(name: str, table: str, sql: str) -> sa.Index:
    """An index that reflection did not see, as far as a downgrade that makes it again needs it."""
    start = sql.index("(")
    end = start
    depth = 0
    for end in range(start, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[end], 0)
        if depth == 0:
            break
    where = sql[end + 1 :].strip().removeprefix("WHERE").strip()
    return sa.Index(
        name,
        sa.text(sql[start + 1 : end]),
        unique=sql.upper().startswith("CREATE UNIQUE"),
        info={"sql": sql},
        sqlite_where=sa.text(where) if where else None,
        _table=sa.Table(table, sa.MetaData()),
    )
