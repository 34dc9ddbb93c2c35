"""Several processes may migrate at once, and one that was killed may be run again."""

import signal
from pathlib import Path

import pytest

from database import migrations
from database.url import parse_url
from tests.migrations.support import migrate_together, named_things, newest, sums, write_ini, write_revision

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 4


@pytest.mark.slow
async def test_four_processes_migrate_an_empty_database_at_once(empty_url: str) -> None:
    assert await migrate_together(empty_url, PROCESSES, ROOT / "alembic.ini") == "0 0 0 0"
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
    assert await migrate_together(filled_url, 1, ini, PULL_THE_PLUG="1") == str(-signal.SIGKILL)
    assert await named_things(filled_url) == names
    assert await sums(filled_url) == before
    await migrations.upgrade(parse_url(filled_url), config=ini)
    assert await migrations.current(parse_url(filled_url), config=ini) == ("later",)
    unmoved = await sums(filled_url, without=("conversations.title",))
    assert {table: unmoved[table] for table in unmoved if table != "conversations"} == {
        table: before[table] for table in before if table != "conversations"
    }
