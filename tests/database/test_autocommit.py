"""A connection outside of any transaction: for upkeep, and nothing of it stays on the connection."""

import pytest

from database import Database
from database.errors import TransactionError


async def test_statements_that_refuse_a_transaction(fresh_database: Database) -> None:
    async with fresh_database.autocommit() as connection:
        await connection.exec_driver_sql("VACUUM")
        await connection.exec_driver_sql("CREATE TABLE upkeep (n INT)")
        assert await fresh_database.table_exists("upkeep")
    async with fresh_database.sandbox():
        await fresh_database.execute("INSERT INTO upkeep VALUES (1)")
    assert await fresh_database.fetch_value("SELECT count(*) FROM upkeep") == 0


async def test_a_task_does_not_wait_for_itself(fresh_database: Database, backend: str) -> None:
    async with fresh_database.transaction():
        if backend == "sqlite":
            with pytest.raises(TransactionError):
                async with fresh_database.autocommit():
                    pass
        else:
            async with fresh_database.autocommit() as connection:
                await connection.exec_driver_sql("VACUUM")
