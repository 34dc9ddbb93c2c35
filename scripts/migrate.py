"""The `migrate` command: what `alembic upgrade` does, as one of ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from database import Database, migrations
from database.errors import ConfigurationError
from scripts.console import AsJson, DatabaseUrl, emit, run, say

CONFIG = Path(__file__).resolve().parent.parent / "alembic.ini"
"""Names an application's own migrations too, where it has some."""

NEWEST = ("head", "heads")


@dataclass(frozen=True, slots=True)
class Migrated:
    """The revisions before and after, one a branch, and those between that were applied now, in their order."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    applied: tuple[str, ...]


def command(
    to: Annotated[str, typer.Option("--to", metavar="REVISION", help="A revision, or the beginning of one.")] = "head",
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Bring the database to the newest revision, or to the one named: all of the way or not at all.

    Never backwards: `alembic downgrade` does that, and deletes what the revisions added. Several processes may
    migrate at once.
    """
    migrated = run(migrate(Database(database_url), to))
    if migrated.applied:
        say(f"applied: {', '.join(migrated.applied)}")
    else:
        say("nothing to do")
    emit(migrated if as_json else f"at {', '.join(migrated.after) or 'no revision'}", as_json=as_json)


async def migrate(database: Database, to: str = "head") -> Migrated:
    """Raises ConfigurationError for a revision that is not known, or that the database has passed."""
    url, settings = database.url, database.settings
    before = await migrations.current(url, config=CONFIG, settings=settings)
    waiting = await migrations.pending(url, config=CONFIG, settings=settings)
    async with database:
        await database.migrate(to, config=CONFIG)
    after = await migrations.current(url, config=CONFIG, settings=settings)
    left = await migrations.pending(url, config=CONFIG, settings=settings)
    applied = tuple(revision for revision in waiting if revision not in left)
    if not applied and to not in NEWEST and not any(revision.startswith(to) for revision in after):
        raise ConfigurationError(f"the database has passed {to}; `alembic downgrade {to}` would take revisions back")
    return Migrated(before, after, applied)
