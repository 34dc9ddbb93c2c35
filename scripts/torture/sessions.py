"""Sessions of a PostgreSQL server that are at work, to be ended in the middle of it."""

import asyncio

from database import Database
from repositories import UnitOfWork

BUSY = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'
ORDER BY random() LIMIT 1
"""


async def busy_backend(database_url: str) -> int | None:
    pid = await _asked_until_found(database_url, BUSY)
    return pid if isinstance(pid, int) else None


async def terminate_backend(database_url: str) -> bool:
    """pg_terminate_backend on one that is at work; any server will do. False: none was."""
    return bool(await _asked_until_found(database_url, f"SELECT pg_terminate_backend(pid) FROM ({BUSY}) AS busy"))


async def _asked_until_found(database_url: str, sql: str) -> object:
    """The first answer of many tries; the server may still be at the blow before this one."""
    async with Database(database_url) as database:
        for _ in range(500):
            answer = await UnitOfWork(database).run(lambda uow: uow.fetch_value(sql), idempotent=True)
            if answer:
                return answer
            await asyncio.sleep(0.002)
    return None
