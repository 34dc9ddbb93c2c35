"""Processes and servers that are killed while writers write."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from database import Database
from scripts.torture.journal import compare
from scripts.torture.report import Row, kind_of, row_of
from scripts.torture.server import Server
from scripts.torture.sessions import terminate_backend
from scripts.torture.writers import Crew, Orders, new_conversations

WRITER = "kill -9 a writer"
TERMINATED = "terminate a backend"
BACKEND = "kill -9 a backend"
CRASH = "kill -9 the postmaster"
RESTART = "restart the server"

CONVERSATIONS = 4
LONGEST_PAUSE = 0.4
"""Seconds of work between two blows."""


async def kill_writers(url: str, folder: Path, *, rounds: int, seconds: float = 0) -> Row:
    """kill -9 of a process of writers, while another goes on."""
    orders = await _orders(url, folder)
    async with Crew(orders, 2) as crew:

        async def blow() -> bool:
            return crew.kill_one()

        return await _struck(WRITER, crew, orders, blow, rounds, seconds)


async def terminate_backends(url: str, folder: Path, *, rounds: int, seconds: float = 0) -> Row:
    return await _strike_server(TERMINATED, url, folder, lambda: terminate_backend(url), rounds, seconds)


async def kill_backends(server: Server, url: str, folder: Path, *, rounds: int, seconds: float = 0) -> Row:
    return await _strike_server(BACKEND, url, folder, lambda: server.kill_backend(url), rounds, seconds)


async def crash_server(server: Server, url: str, folder: Path, *, rounds: int, seconds: float = 0) -> Row:
    return await _strike_server(CRASH, url, folder, server.crash, rounds, seconds)


async def restart_server(server: Server, url: str, folder: Path, *, rounds: int, seconds: float = 0) -> Row:
    return await _strike_server(RESTART, url, folder, server.restart, rounds, seconds)


async def _strike_server(
    fault: str, url: str, folder: Path, blow: Callable[[], Awaitable[bool]], rounds: int, seconds: float
) -> Row:
    """Eight writers in two processes, which nobody starts again: the application needs no restart."""
    orders = await _orders(url, folder)
    async with Crew(orders, 2) as crew:
        return await _struck(fault, crew, orders, blow, rounds, seconds)


async def _orders(url: str, folder: Path) -> Orders:
    return Orders(url, folder, await new_conversations(url, CONVERSATIONS))


async def _struck(
    fault: str, crew: Crew, orders: Orders, blow: Callable[[], Awaitable[bool]], rounds: int, seconds: float
) -> Row:
    """At least so many rounds, and as many more as the time gives; each waits until the writers went on."""
    ends, tried, hit = time.monotonic() + seconds, 0, 0
    went_on = await crew.go_on()
    while went_on and (tried < rounds or time.monotonic() < ends):
        await asyncio.sleep(random.uniform(0, LONGEST_PAUSE))
        hit += await blow()
        tried += 1
        went_on = await crew.go_on()
    stopped = await crew.stop()
    async with Database(orders.url) as database:
        verdict = await compare(database, orders.folder)
        whole = await is_whole(database)
    notes = [
        *([] if went_on else ["writers did not go on"]),
        *([] if stopped else ["writers did not end well"]),
        *([] if whole else ["the database is damaged"]),
    ]
    kept = went_on and stopped and whole
    kind = kind_of(orders.url)
    return row_of(fault, kind, verdict, rounds=tried, hit=hit, kept=kept, note=", ".join(notes))


async def is_whole(database: Database) -> bool:
    """What SQLite finds wrong in its own file; PostgreSQL recovers from its log, and has nothing to ask."""
    if database.url.get_backend_name() != "sqlite":
        return True
    return await database.fetch_value("PRAGMA integrity_check") == "ok"
