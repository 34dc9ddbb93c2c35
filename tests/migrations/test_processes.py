"""Several processes may migrate at once, and one that was killed may be run again."""

import asyncio
import signal
from pathlib import Path

import pytest

from database import migrations
from database.url import parse_url
from tests.migrations.support import named_things, newest, sums, write_ini, write_revision
from tests.processes import run_python

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 4

# Forked when everything is imported, and let go together: so that they do meet.
TOGETHER = """
import asyncio, os, sys
from pathlib import Path
from database import migrations
from database.url import parse_url

url, ini, count = parse_url(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
read, write = os.pipe()
children = []
for _ in range(count):
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        try:
            asyncio.run(migrations.upgrade(url, config=ini))
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
os.close(write)
print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


async def migrate_together(url: str, ini: Path, count: int, **environment: str) -> str:
    """The exit codes of `count` processes that migrate at once."""
    run = await asyncio.to_thread(run_python, TOGETHER, url, str(ini), str(count), folder=ROOT, environment=environment)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.slow
async def test_four_processes_migrate_an_empty_database_at_once(empty_url: str) -> None:
    assert await migrate_together(empty_url, ROOT / "alembic.ini", PROCESSES) == "0 0 0 0"
    place = parse_url(empty_url)
    assert await migrations.current(place) == (newest(),)
    assert await migrations.drift(place) == []


async def test_a_killed_process_leaves_nothing_and_can_be_run_again(filled_url: str, tmp_path: Path) -> None:
    ini = write_ini(tmp_path)
    write_revision(
        tmp_path,
        "later",
        """
        with op.batch_alter_table("conversations") as batch:
            batch.alter_column("title", existing_type=sa.Text(), nullable=True)
        op.execute("UPDATE conversations SET title = NULL")
        op.create_table("notes", sa.Column("id", sa.Uuid(), primary_key=True))
        if "PULL_THE_PLUG" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    names, before = await named_things(filled_url), await sums(filled_url)
    assert await migrate_together(filled_url, ini, 1, PULL_THE_PLUG="1") == str(-signal.SIGKILL)
    assert await named_things(filled_url) == names
    assert await sums(filled_url) == before
    await migrations.upgrade(parse_url(filled_url), config=ini)
    assert await migrations.current(parse_url(filled_url), config=ini) == ("later",)
    unmoved = await sums(filled_url, without=("conversations.title",))
    assert {table: unmoved[table] for table in unmoved if table != "conversations"} == {
        table: before[table] for table in before if table != "conversations"
    }
