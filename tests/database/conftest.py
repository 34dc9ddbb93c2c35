"""What the tests of the raw-SQL door share."""

import pytest

from database import Database, RawSql, Session


@pytest.fixture
async def door(database: Database, session: Session) -> RawSql:
    """The database, whose verbs join the sandbox of the test."""
    await database.execute("CREATE TABLE notes (id BIGINT PRIMARY KEY, text TEXT, weight DOUBLE PRECISION)")
    return database


async def fill(door: RawSql, rows: int) -> None:
    made = await door.execute_many(
        "INSERT INTO notes (id, text) VALUES (:id, :text)",
        ({"id": number, "text": f"note {number}"} for number in range(rows)),
    )
    assert made.row_count == rows
