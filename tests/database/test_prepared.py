"""What goes straight to the driver is refused in the same words as what goes through SQLAlchemy."""

from datetime import datetime

import pytest
import sqlalchemy as sa

from database import Database
from database.errors import InvalidInputError
from models.types import UTCDateTime


async def test_a_value_that_its_type_refuses_is_bad_input(fresh_database: Database) -> None:
    statement = sa.select(sa.bindparam("at", type_=UTCDateTime()))
    async with fresh_database.session() as session:
        with pytest.raises(InvalidInputError):
            await session.read(statement, {"at": datetime(2026, 1, 1)})
    async with fresh_database.session() as session:
        with pytest.raises(InvalidInputError):
            await (await session.core()).execute(statement, {"at": datetime(2026, 1, 1)})
