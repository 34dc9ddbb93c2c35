"""The schema's history from code: bring a database to a revision, and say what differs from the files and models.

The same as the `alembic` command, without its alembic.ini: the history is found beside this package, in a checkout as
in an installed wheel. Every call opens a connection of its own and closes it.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from database.errors import ConfigurationError, StoreError
from database.history import checksums
from database.settings import Settings

logger = logging.getLogger(__name__)

T = TypeVar("T")

ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps its context in globals of the process."""


def history() -> Path:
    """The folder of env.py and versions/: in a wheel inside this package, in a checkout beside it."""
    package = Path(__file__).resolve().parent
    inside = package / "history"
    return inside if (inside / "env.py").exists() else package.parent / "alembic"


async def upgrade(
    url: sa.URL,
    revision: str = "head",
    *,
    config: Path | None = None,
    settings: Settings | None = None,
    connection: AsyncConnection | None = None,
) -> None:
    """Apply every revision up to `revision`, all or none; "head" is the newest of every branch.

    `config` is an application's alembic.ini that names its own migrations beside ours. `connection` is used instead of
    a new one, outside of a transaction: a database in memory has no other. Waits while another process migrates.
    Raises ConfigurationError for a server or pgvector that is too old and a revision that does not exist; otherwise
    what the database raises. Cancelling it does not stop what runs in its thread: that ends by itself, whole.
    """
    target = "heads" if revision == "head" else revision
    await _run(lambda alembic: command.upgrade(alembic, target), url, config, settings, connection)


async def downgrade(
    url: sa.URL,
    revision: str,
    *,
    config: Path | None = None,
    settings: Settings | None = None,
    connection: AsyncConnection | None = None,
) -> None:
    """Take back every revision after `revision`, all or none; "base" takes back everything, its rows included."""
    await _run(lambda alembic: command.downgrade(alembic, revision), url, config, settings, connection)


async def current(
    url: sa.URL,
    *,
    config: Path | None = None,
    settings: Settings | None = None,
    connection: AsyncConnection | None = None,
) -> tuple[str, ...]:
    """The revisions that the database stands at, one a branch; empty where nothing was applied."""

    def look(context: MigrationContext) -> tuple[str, ...]:
        return tuple(sorted(context.get_current_heads()))

    return await _run(lambda alembic: _look(alembic, look), url, config, settings, connection)


async def pending(
    url: sa.URL,
    *,
    config: Path | None = None,
    settings: Settings | None = None,
    connection: AsyncConnection | None = None,
) -> tuple[str, ...]:
    """The revisions that `upgrade` would apply, in this order."""

    def look(context: MigrationContext) -> tuple[str, ...]:
        assert context.script is not None
        applied = checksums.applied(context.script, context.get_current_heads())
        newest_first = [script.revision for script in context.script.walk_revisions("base", "heads")]
        return tuple(revision for revision in reversed(newest_first) if revision not in applied)

    return await _run(lambda alembic: _look(alembic, look), url, config, settings, connection)


async def drift(
    url: sa.URL,
    *,
    config: Path | None = None,
    settings: Settings | None = None,
    connection: AsyncConnection | None = None,
) -> Sequence[str]:
    """Short sentences on where the tables differ from the models; empty where they do not."""

    def look(context: MigrationContext) -> list[str]:
        differences = compare_metadata(context, context.opts["target_metadata"])
        return [sentence for difference in differences for sentence in _sentences(difference)]

    return await _run(lambda alembic: _look(alembic, look, mutates=True), url, config, settings, connection)


async def changed_checksums(
    url: sa.URL,
    *,
    config: Path | None = None,
    settings: Settings | None = None,
    connection: AsyncConnection | None = None,
) -> Sequence[str]:
    """A sentence for each applied revision whose file has been changed since; empty where none was."""

    def look(context: MigrationContext) -> list[str]:
        assert context.script is not None
        assert context.connection is not None
        return checksums.changed(context.connection, context.script, context.get_current_heads())

    return await _run(lambda alembic: _look(alembic, look), url, config, settings, connection)


async def _run(
    work: Callable[[Config], T],
    url: sa.URL,
    config: Path | None,
    settings: Settings | None,
    connection: AsyncConnection | None,
) -> T:
    alembic = Config() if config is None else Config(config)
    if config is None:
        alembic.set_main_option("script_location", str(history()).replace("%", "%%"))
    alembic.attributes.update(url=url, settings=settings)
    try:
        if connection is None:
            return await asyncio.to_thread(_locked, work, alembic)
        return await _over(connection, work, alembic)
    except (CommandError, RevisionError) as error:
        if isinstance(error.__cause__, StoreError):
            # It does not say which statement was refused.
            logger.error("migration_failed error=%s", error)
            raise error.__cause__ from None
        raise ConfigurationError(str(error)) from error


def _locked(work: Callable[[Config], T], alembic: Config) -> T:
    with ONE_AT_A_TIME:
        return work(alembic)


async def _over(connection: AsyncConnection, work: Callable[[Config], T], alembic: Config) -> T:
    def on(inner: Connection) -> T:
        alembic.attributes["connection"] = inner
        return work(alembic)

    # Not by waiting for the lock: who holds it may need this event loop to go on.
    while not ONE_AT_A_TIME.acquire(blocking=False):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        return await connection.run_sync(on)
    finally:
        ONE_AT_A_TIME.release()


def _look(alembic: Config, look: Callable[[MigrationContext], T], *, mutates: bool = False) -> T:
    """Call `look` where a revision would run."""
    found: list[T] = []

    def inside(revision: object, context: MigrationContext) -> list[Any]:
        found.append(look(context))
        return []

    scripts = ScriptDirectory.from_config(alembic)
    with EnvironmentContext(alembic, scripts, fn=inside, dont_mutate=not mutates):
        scripts.run_env()
    return found[0]


def _sentences(difference: Any) -> list[str]:
    """Alembic's tuple, or its list of tuples for one column, in words."""
    if isinstance(difference, list):
        return [sentence for part in difference for sentence in _sentences(part)]
    verb, *what = difference
    return [f"{verb.replace('_', ' ')}: {_place(what)}"]


def _place(what: list[Any]) -> str:
    match what:
        case [_, table, sa.Column() as column]:
            return f"{table}.{column.name}"
        case [_, table, str(column), *_]:
            return f"{table}.{column}"
    return str(what[0].name)
