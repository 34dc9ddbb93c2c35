"""The one transaction around all revisions of a command: who waits for whom, and what is verified before it ends."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExecutionContext
from sqlalchemy.engine.interfaces import DBAPICursor

from database.postgres import LEAST_PGVECTOR
from database.sqlite import READ_ONLY, unhurried

LOCK = 6_137_402_116
"""Any number that no other program on the server locks: who migrates holds it."""

LOCK_TIMEOUT_SECONDS = 10
"""How long a revision waits for a table in use, while everybody else queues behind it."""


def transaction(context: MigrationContext, seconds: int) -> AbstractContextManager[None]:
    """`seconds`: how long one statement may take, and the wait for another process that migrates.

    Commands that only look (`alembic current`) wait for nobody.
    """
    if context.dialect.name == "postgresql":
        return _on_postgres(context, seconds)
    if context.as_sql:
        return _plain(context)
    return _on_sqlite(context, seconds)


@contextmanager
def _plain(context: MigrationContext) -> Iterator[None]:
    with context.begin_transaction():
        yield


@contextmanager
def _on_postgres(context: MigrationContext, seconds: int) -> Iterator[None]:
    with context.begin_transaction():
        if not _reads(context):
            # The lock ends with the transaction, however that ends. The timeout of tables is not for it.
            context.execute(f"SET LOCAL statement_timeout = '{seconds}s'")
            context.execute("SET LOCAL lock_timeout = 0")
            context.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            context.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
            context.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            if not context.as_sql:
                _check_pgvector(_connection(context))
        yield


def _check_pgvector(connection: Connection) -> None:
    least = ".".join(str(part) for part in LEAST_PGVECTOR)
    query = "SELECT coalesce(installed_version, default_version) FROM pg_available_extensions WHERE name = 'vector'"
    version = connection.execute(sa.text(query)).scalar()
    if version is None:
        raise CommandError(f"The server has no pgvector: {least} or newer is needed.")
    if tuple(int(part) for part in str(version).split(".")[:2]) < LEAST_PGVECTOR:
        raise CommandError(f"pgvector {least} or newer is needed, this is {version}: ALTER EXTENSION vector UPDATE.")


@contextmanager
def _on_sqlite(context: MigrationContext, seconds: int) -> Iterator[None]:
    """Without foreign keys while tables are copied, else dropping the old copy of a parent deletes its children."""
    connection = _connection(context)
    raw = connection.connection.cursor()
    raw.execute("PRAGMA foreign_keys=OFF")
    raw.execute(f"PRAGMA busy_timeout={seconds * 1000}")
    try:
        if _reads(context):
            connection.execution_options(**{READ_ONLY: True})
        with context.begin_transaction():
            unhurried(connection)
            before = context.get_current_heads()
            yield
            if context.get_current_heads() != before:
                _check_foreign_keys(connection)
    finally:
        raw.execute("PRAGMA foreign_keys=ON")
        raw.close()


def _check_foreign_keys(connection: Connection) -> None:
    tables = {f"{child} -> {parent}" for child, _, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check")}
    if tables:
        raise CommandError(
            f"Rows would refer to rows that do not exist ({', '.join(sorted(tables))}); nothing was done."
        )


def _reads(context: MigrationContext) -> bool:
    return bool(context.opts.get("dont_mutate", False))


def _connection(context: MigrationContext) -> Connection:
    assert context.connection is not None
    return context.connection


@contextmanager
def explained(engine: Engine) -> Iterator[dict[BaseException, str]]:
    """Collect what the database says to a statement that it refuses, by its error, without rows that it may quote.

    The errors themselves have lost their words by the time they arrive (`database.errors`).
    """
    said: dict[BaseException, str] = {}

    def execute(cursor: DBAPICursor, statement: str, parameters: Any, context: ExecutionContext) -> bool:
        try:
            cursor.execute(statement, parameters)
        except Exception as error:
            quotes_values = str(getattr(error, "sqlstate", "")).startswith("22")
            words = type(error).__name__ if quotes_values else str(error).partition("\n")[0]
            said[error] = f"{words}; in: {' '.join(statement.split())[:500]}"
            raise
        return True

    event.listen(engine, "do_execute", execute)
    try:
        yield said
    finally:
        event.remove(engine, "do_execute", execute)
