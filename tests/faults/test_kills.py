"""What was acknowledged is there, once and whole, whoever is killed; and the application needs no restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from database import Database
from scripts.torture import kills
from scripts.torture.report import Row
from scripts.torture.server import Server
from tests.support import on_postgresql, prepare_schema

pytestmark = pytest.mark.faults

ROUNDS = 3


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that may be killed."""
    with Server() as server:
        yield server


@pytest.fixture
async def url(server: Server) -> str:
    url = await server.new_database()
    await prepare_schema(url)
    return url


def nothing_is_lost(row: Row) -> bool:
    assert (row.lost, row.doubled, row.torn) == (0, 0, 0)
    assert row.kept, row
    assert row.hit == row.rounds == ROUNDS
    return row.acknowledged > 0


async def test_a_writer(fresh_url: str, tmp_path: Path) -> None:
    assert nothing_is_lost(await kills.kill_writers(fresh_url, tmp_path, rounds=ROUNDS))


@on_postgresql
async def test_a_session_of_the_server(fresh_url: str, tmp_path: Path) -> None:
    assert nothing_is_lost(await kills.terminate_backends(fresh_url, tmp_path, rounds=ROUNDS))


async def test_a_process_of_the_server(server: Server, url: str, tmp_path: Path) -> None:
    assert nothing_is_lost(await kills.kill_backends(server, url, tmp_path, rounds=ROUNDS))


async def test_the_server(server: Server, url: str, tmp_path: Path) -> None:
    assert nothing_is_lost(await kills.crash_server(server, url, tmp_path, rounds=ROUNDS))


async def test_a_restart_of_the_server(server: Server, url: str, tmp_path: Path) -> None:
    assert nothing_is_lost(await kills.restart_server(server, url, tmp_path, rounds=ROUNDS))


async def test_the_first_call_after_a_restart_works(server: Server, url: str) -> None:
    async with Database(url) as database:
        for blow in (server.restart, server.crash):
            assert await database.fetch_value("SELECT 1") == 1
            await blow()
            assert await database.fetch_value("SELECT 1") == 1
