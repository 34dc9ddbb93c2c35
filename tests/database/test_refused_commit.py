"""A COMMIT that the database refuses: the unit is gone, and the next one on the same connection works."""

import pytest
import sqlalchemy as sa

from database import Database
from database.errors import MissingReferenceError


async def test_the_next_unit_works(fresh_database: Database) -> None:
    await fresh_database.execute("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
    await fresh_database.execute(
        "CREATE TABLE children (parent_id INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)"
    )
    for _ in range(2):
        with pytest.raises(MissingReferenceError):
            async with fresh_database.transaction() as session:
                await (await session.core()).execute(sa.text("INSERT INTO children VALUES (1)"))

    await fresh_database.execute("INSERT INTO parents VALUES (1)")
    assert await fresh_database.fetch_value("SELECT count(*) FROM children") == 0
