"""The embedded server: it starts, it is the right one, and nothing of it is left behind."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from scripts.postgres import EmbeddedPostgres, PostgresUnavailableError

HOLDER = """
import sys, time
from pathlib import Path
from scripts.postgres import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.url(), flush=True)
time.sleep(600)
"""


async def ask(server: EmbeddedPostgres, sql: str) -> object:
    connection = await asyncpg.connect(server.url().replace("+asyncpg", ""))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def sockets(url: str) -> Path:
    return Path(url.split("host=")[1])


async def test_it_is_version_18_with_pgvector_and_leaves_nothing() -> None:
    with EmbeddedPostgres(options={"work_mem": "5MB"}) as server:
        folder = sockets(server.url())
        assert int(str(await ask(server, "SELECT current_setting('server_version_num')"))) >= 180_000
        assert await ask(server, "CREATE EXTENSION vector") is None
        assert await ask(server, "SELECT '[3,4]'::vector <-> '[0,0]'") == 5.0
        assert await ask(server, "CREATE EXTENSION pg_trgm") is None
        assert await ask(server, "SHOW work_mem") == "5MB"
        assert await ask(server, "SHOW timezone") == "UTC"

    assert not folder.exists()
    with pytest.raises(RuntimeError, match="not running"):
        server.url()


def start_and_be_killed(folder: Path) -> str:
    """The URL of a server whose process ended without a chance to stop it."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        url = holder.stdout.readline().strip()
        assert sockets(url).exists()
        holder.kill()
    return url


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not under pytest's: root's server is another account's, which may not go there."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


async def test_a_folder_keeps_its_rows_also_when_the_holder_is_killed(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        await ask(server, "CREATE TABLE kept AS SELECT 7 AS number")
        assert await ask(server, "SHOW fsync") == "on"

    url = start_and_be_killed(folder)

    # At once: it waits until the other server has stopped by itself.
    with EmbeddedPostgres(folder) as server:
        assert await ask(server, "SELECT number FROM kept") == 7
    assert not sockets(url).exists()


def test_a_folder_in_use_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.postgres.LOCK_SECONDS", 0)
    with EmbeddedPostgres(folder), pytest.raises(PostgresUnavailableError, match="Another process"):
        EmbeddedPostgres(folder).start()


def test_a_folder_of_another_version_is_refused(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data/PG_VERSION").write_text("16\n")

    with pytest.raises(PostgresUnavailableError, match="holds PostgreSQL 16, not 18"):
        EmbeddedPostgres(folder).start()


def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(PostgresUnavailableError, match="max_connections"):
        EmbeddedPostgres(options={"max_connections": "many"}).start()


def test_without_the_wheel_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(PostgresUnavailableError, match=r"persona-store\[postgres-embedded\]"):
        EmbeddedPostgres().start()
