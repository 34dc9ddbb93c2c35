"""Migrations: no revision loses a row, a killed one is run again, and processes that come together do not collide."""

import asyncio
import itertools
import os
import signal
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from database import Database, migrations
from database.url import parse_url
from models import metadata
from tests.migrations import conftest as filled
from tests.migrations.support import ROWS, migrate_together, named_things, newest, ours, sums
from tests.processes import run_python
from tests.support import Copies

pytestmark = pytest.mark.faults

# The fixtures of the ordinary tests of migrations.
new_filled_sqlite, new_filled_postgres = filled.new_filled_sqlite, filled.new_filled_postgres
new_filled, filled_url = filled.new_filled, filled.filled_url

ROOT = Path(__file__).resolve().parents[2]
EVERY = "EVERY_STATEMENT" in os.environ or os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
SAMPLES, ROUNDS, PROCESSES = 4, 2, 4

# Counts the statements that reach a driver, and ends as by kill -9 after one of them.
KILLED = """
import asyncio, os, signal, sys
import sqlalchemy as sa
from sqlalchemy import event
from database import migrations
from database.url import parse_url

url, last = parse_url(sys.argv[1]), int(sys.argv[2])
sent = 0

@event.listens_for(sa.Engine, "after_cursor_execute")
def count(*_):
    global sent
    sent += 1
    if sent == last:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(migrations.upgrade(url, sys.argv[3]))
print(sent)
"""


async def references_hold(url: str) -> bool:
    if not url.startswith("sqlite"):
        return True
    async with Database(url) as database:
        return await database.fetch_all("PRAGMA foreign_key_check") == []


async def upgraded(url: str, last: int, revision: str) -> tuple[int | None, str]:
    """What became of a process that is killed after the statement of this number; 0: never."""
    ran = await asyncio.to_thread(run_python, KILLED, url, str(last), revision, folder=ROOT)
    return ran.returncode, ran.stdout.strip()


def steps() -> list[tuple[str, str]]:
    """(before, revision): every revision that can meet rows, so all but the first."""
    revisions = ours()
    return list(itertools.pairwise(revisions))


@pytest.mark.parametrize(("before", "revision"), steps())
async def test_down_and_up_keeps_every_row(filled_url: str, before: str, revision: str) -> None:
    place = parse_url(filled_url)
    first = await sums(filled_url)
    assert {count for count, _ in first.values()} == {ROWS}
    names = await named_things(filled_url)
    for _ in range(2):
        await migrations.downgrade(place, before)
        assert await sums(filled_url) == first
        assert await references_hold(filled_url)
        await migrations.upgrade(place, revision)
        assert await sums(filled_url) == first
        assert await references_hold(filled_url)
    await migrations.upgrade(place)
    assert await named_things(filled_url) == names
    assert await migrations.drift(place) == []


@pytest.mark.parametrize(("before", "revision"), steps())
async def test_killed_after_any_statement_it_is_run_again(filled_url: str, before: str, revision: str) -> None:
    place = parse_url(filled_url)
    first = await sums(filled_url)
    await migrations.downgrade(place, before)
    names = await named_things(filled_url)
    code, sent = await upgraded(filled_url, 0, revision)
    assert code == 0
    await migrations.downgrade(place, before)
    count = int(sent)
    assert count >= 5
    after = range(1, count + 1) if EVERY else sorted({1 + (count - 1) * n // (SAMPLES - 1) for n in range(SAMPLES)})
    for last in after:
        assert await upgraded(filled_url, last, revision) == (-signal.SIGKILL, "")
        # All or nothing: the last statement of all may be COMMIT's.
        assert await migrations.current(place) in ((before,), (revision,))
        if await migrations.current(place) == (before,):
            assert await named_things(filled_url) == names
        assert await sums(filled_url) == first
    await migrations.upgrade(place)
    assert await migrations.current(place) == (newest(),)
    assert await sums(filled_url) == first
    assert await references_hold(filled_url)
    assert await migrations.drift(place) == []


async def test_killed_in_an_empty_database_it_is_run_again(empty_url: str) -> None:
    place = parse_url(empty_url)
    for last in (3, 20, 50):
        assert await upgraded(empty_url, last, "head") == (-signal.SIGKILL, "")
        assert await migrations.current(place) == ()
    await migrations.upgrade(place)
    assert await migrations.drift(place) == []


async def test_processes_that_migrate_at_once(copies: Copies) -> None:
    for _ in range(ROUNDS):
        url = await copies.empty()
        assert await migrate_together(url, PROCESSES) == " ".join(["0"] * PROCESSES)
        assert await migrations.current(parse_url(url)) == (newest(),)
        assert await migrations.drift(parse_url(url)) == []
        await copies.drop(url)


@pytest.mark.parametrize("guarded", [True, False])
def test_what_foreign_keys_would_do_to_a_copied_parent(tmp_path: Path, guarded: bool) -> None:
    """Why env.py switches them off: dropping the old copy of a parent deletes its children."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/scratch.db", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA foreign_keys={'OFF' if guarded else 'ON'}")
        connection.exec_driver_sql("CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT)")
        connection.exec_driver_sql(
            "CREATE TABLE children (id INTEGER PRIMARY KEY, "
            "parent_id INTEGER NOT NULL REFERENCES parents (id) ON DELETE CASCADE)"
        )
        connection.exec_driver_sql("INSERT INTO parents VALUES (1, 'one')")
        connection.exec_driver_sql("INSERT INTO children VALUES (1, 1), (2, 1), (3, 1)")
        connection.commit()
        with Operations(MigrationContext.configure(connection)).batch_alter_table(
            "parents", recreate="always"
        ) as batch:
            batch.alter_column("name", existing_type=sa.Text(), nullable=True, new_column_name="title")
        connection.commit()
        assert connection.exec_driver_sql("SELECT title FROM parents").scalars().all() == ["one"]
        left = connection.exec_driver_sql("SELECT count(*) FROM children").scalar_one()
    engine.dispose()
    assert left == (3 if guarded else 0)


def test_the_history_is_of_all_tables() -> None:
    """Every table of the models has rows in the tests above."""
    assert steps()
    assert len(metadata.tables) > 10
