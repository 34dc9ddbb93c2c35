"""Several processes may migrate at once, and one that was killed may be run again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from database import migrations
from database.url import parse_url
from tests.migrations.support import named_things, newest, sums, write_ini, write_revision

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 4


def start(ini: Path, url: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", "-c", str(ini), "-x", f"database_url={url}", "upgrade", "heads"],
        cwd=ROOT,
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_four_processes_migrate_an_empty_database_at_once(empty_url: str) -> None:
    together = [start(ROOT / "alembic.ini", empty_url) for _ in range(PROCESSES)]
    said = [process.communicate(timeout=120)[1] for process in together]
    assert [process.returncode for process in together] == [0] * PROCESSES, said
    assert sum("Running upgrade" in text for text in said) == 1
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
    killed = start(ini, filled_url, PULL_THE_PLUG="1")
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert await named_things(filled_url) == names
    assert await sums(filled_url) == before
    again = start(ini, filled_url)
    said = again.communicate(timeout=120)[1]
    assert again.returncode == 0, said
    assert await migrations.current(parse_url(filled_url), config=ini) == ("later",)
    assert {name: count for name, (count, _) in (await sums(filled_url)).items()} == {
        name: count for name, (count, _) in before.items()
    }
