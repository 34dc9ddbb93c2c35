"""The setting for pgbouncer's transaction mode: nothing of ours stays behind in a session of the server.

`python -m scripts torture` works through a real one, where it is installed.
"""

import pytest

from database import Database, Settings
from repositories import UnitOfWork
from tests.support import on_postgresql

pytestmark = on_postgresql

SET_FOR_THE_SESSION = "SELECT count(*) FROM pg_settings WHERE name LIKE '%timeout' AND source IN ('session', 'client')"


@pytest.mark.parametrize("pgbouncer", [True, False])
async def test_nothing_stays_in_the_session(fresh_url: str, pgbouncer: bool) -> None:
    settings = Settings.model_validate({"database_url": fresh_url, "pgbouncer": pgbouncer, "pool_size": 1})
    async with Database(settings) as database:
        async with UnitOfWork(database) as uow:
            talk = await uow.conversations.create(title="through a pool")
            await uow.messages.append(talk.id, role="user", content="hello")
            assert await uow.fetch_value("SHOW statement_timeout") == "30s"
            assert await uow.fetch_value("SHOW idle_in_transaction_session_timeout") == "1min"
        async with database.autocommit() as connection:
            limits = (await connection.exec_driver_sql(SET_FOR_THE_SESSION)).scalar_one()
            kept = (await connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
    assert (limits == 0) is pgbouncer
    assert (kept == 0) is pgbouncer
