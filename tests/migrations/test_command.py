"""`alembic` as everyone knows it: which database it takes, and the SQL that it writes for a reviewer."""

import io
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.config import Config

from database import Database, migrations
from database.url import parse_url
from tests.migrations.support import newest
from tests.processes import Ran, run_python
from tests.support import on_postgresql

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]


def alembic(folder: Path, *arguments: str, **environment: str) -> Ran:
    """The command run in `folder`, where a `.env` may lie."""
    program = "import sys; from alembic.config import main; main(sys.argv[1:], prog='alembic')"
    return run_python(program, "-c", str(ROOT / "alembic.ini"), *arguments, folder=folder, environment=environment)


def sql(url: str, revisions: str = "head") -> str:
    """`alembic upgrade --sql`."""
    written = io.StringIO()
    config = Config(ROOT / "alembic.ini", output_buffer=written)
    config.attributes["url"] = parse_url(url)
    command.upgrade(config, revisions, sql=True)
    return written.getvalue()


async def test_without_settings_it_is_the_sqlite_file_and_dotenv_is_read(tmp_path: Path) -> None:
    done = alembic(tmp_path, "upgrade", "head")
    assert done.returncode == 0, done.stderr
    assert await migrations.current(parse_url(f"sqlite:///{tmp_path}/persona-store.db")) == (newest(),)

    (tmp_path / ".env").write_text(f"DATABASE_URL=sqlite:///{tmp_path}/dotenv.db\n")
    done = alembic(tmp_path, "current")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "dotenv.db").exists()


@on_postgresql
def test_an_argument_overrides_the_settings(backend: str, empty_url: str, tmp_path: Path) -> None:
    override = ("-x", f"database_url={empty_url}")
    done = alembic(tmp_path, *override, "upgrade", "head", DATABASE_URL="sqlite:////nowhere/at/all.db")
    assert done.returncode == 0, done.stderr
    assert "Running upgrade  -> " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_one_sentence_without_the_password(tmp_path: Path) -> None:
    done = alembic(tmp_path, "current", DATABASE_URL="postgresql://ada:sentinel@127.0.0.1:1/none?connect_timeout=2")
    assert done.returncode != 0
    assert "the database was not reached" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "sentinel" not in done.stdout + done.stderr


@on_postgresql
async def test_the_written_sql_makes_the_same_schema(backend: str, empty_url: str) -> None:
    script = sql(empty_url)
    connection = await asyncpg.connect(parse_url(empty_url).set(drivername="postgresql").render_as_string(False))
    await connection.execute(script)
    await connection.close()
    place = parse_url(empty_url)
    assert await migrations.current(place) == (newest(),)
    assert await migrations.drift(place) == []
    assert await migrations.changed_checksums(place) == []


async def test_the_sql_for_sqlite_is_written_too(tmp_path: Path) -> None:
    script = sql("sqlite:///")
    url = f"sqlite:///{tmp_path}/written.db"
    async with Database(url) as database:
        for statement in script.partition("BEGIN;")[2].rpartition("COMMIT;")[0].split(";\n\n"):
            await database.execute(statement.strip())
    assert await migrations.drift(parse_url(url)) == []


def test_squawk_reads_the_sql_clean(tmp_path: Path) -> None:
    """Every rule of squawk, for the oldest server that we support."""
    script = tmp_path / "upgrade.sql"
    script.write_text(sql("postgresql://host/name"))
    squawk = Path(sys.executable).with_name("squawk")
    read = subprocess.run(
        [squawk, "--pg-version=16", "--no-error-on-unmatched-pattern", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert read.returncode == 0, read.stdout
    assert "Found 0 issues in 1 file" in read.stdout + read.stderr


@pytest.mark.parametrize("statement", ["ALTER TABLE runs ADD COLUMN n int NOT NULL", "CREATE INDEX i ON runs (error)"])
def test_squawk_would_see_what_locks_or_breaks(tmp_path: Path, statement: str) -> None:
    script = tmp_path / "upgrade.sql"
    script.write_text(sql("postgresql://host/name").replace("COMMIT;", f"COMMIT;\n{statement};"))
    squawk = Path(sys.executable).with_name("squawk")
    assert subprocess.run([squawk, "--pg-version=16", script], capture_output=True, check=False).returncode == 1
