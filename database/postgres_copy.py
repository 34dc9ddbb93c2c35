"""How many rows go into PostgreSQL at once: by COPY, inside the transaction of the statement that it stands for."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import ExecutionContext
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.ext.asyncio import AsyncEngine

from database.bulk import TARGET, Target

LEAST_ROWS = 50
"""COPY costs a round trip more: a few rows are faster as the INSERT that they came as."""


def copy_bulk_inserts(engine: AsyncEngine) -> None:
    """Send what `BulkInsert` gives to this engine as COPY, where it is many rows."""
    event.listen(engine.sync_engine, "do_executemany", _copy)


def _copy(cursor: DBAPICursor, statement: str, records: Sequence[Any], context: ExecutionContext) -> bool:
    """In the place of the driver's executemany, so that all else is as for any statement: who watches statements sees
    it, a slow one is logged, and its error is translated and breaks the unit. True: it is done."""
    target: Target | None = context.execution_options.get(TARGET)
    if target is None or len(records) < LEAST_ROWS:
        return False
    connection: Any = context.root_connection.connection.dbapi_connection
    begin(connection, cursor)
    try:
        connection.run_async(lambda driver: _send(driver, target, records))
    except Exception as error:
        # SQLAlchemy's own way from an error of the driver to one of the DBAPI, which it has for its cursors alone.
        connection._handle_exception(error)
    return True


async def _send(driver: Any, target: Target, records: Sequence[Any]) -> None:
    """The driver takes the records as it sends them: after the last one there is only the server to wait for."""
    await driver.copy_records_to_table(
        target.table, schema_name=target.schema, columns=target.columns, records=chain(records, target.all_sent())
    )


def begin(connection: Any, cursor: DBAPICursor) -> None:
    """SQLAlchemy begins a transaction with the first statement that it sends by itself; COPY alone would commit."""
    if not connection.driver_connection.is_in_transaction():
        cursor.execute("SELECT 1")
