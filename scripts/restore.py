"""The `restore` command: a backup put back, and looked at before it is called good."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from alembic.config import Config
from alembic.script import ScriptDirectory

from database import Database
from database.errors import ConfigurationError
from scripts.backups import Manifest, kind_of, read
from scripts.console import CHECK_FAILED, AsJson, DatabaseUrl, emit, run, say
from scripts.migrate import CONFIG
from scripts.unhurried import unhurried


@dataclass(frozen=True, slots=True)
class Restored:
    """`manifest` is the backup's own account; `faults` are what the deep checks find in the restored rows."""

    restored: bool
    manifest: Manifest
    faults: Sequence[str] = ()


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="What `backup` has made.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what the database holds.")] = False,
    check_only: Annotated[bool, typer.Option("--check-only", help="Say whether FILE is whole; touch nothing.")] = False,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup into an empty database, or with --force in the place of what is there: all of it, or nothing.

    FILE is read to its end first, and refused if a byte of it is not what was written. Then rows are compared with the
    checksums of the backup, and with one another as `check --deep` does. Ends with 1 if anything is not as it was.
    """
    if check_only:
        with read(file) as (manifest, _):
            done = Restored(False, manifest)
    else:
        done = run(restore(unhurried(database_url), file, force=force))
    for fault in done.faults:
        say(f"was so when the backup was made: {fault}; `python3 -m scripts check --deep --repair` mends what it can")
    emit(done if as_json else _as_line(file, done), as_json=as_json)
    if done.faults:
        raise typer.Exit(CHECK_FAILED)


async def restore(database: Database, file: Path, *, force: bool = False) -> Restored:
    """Raises CorruptionError for a damaged file, ConfigurationError where it does not fit this database."""
    with read(file) as (manifest, data):
        await _refuse_what_does_not_fit(database, manifest)
        async with database:
            kind = kind_of(database)
            if not force and not await kind.is_empty(database):
                raise ConfigurationError("the database holds rows; --force replaces them with those of the backup")
            faults = await kind.load(database, manifest, data)
    return Restored(True, manifest, faults)


async def _refuse_what_does_not_fit(database: Database, manifest: Manifest) -> None:
    kind = database.url.get_backend_name()
    if manifest.database != kind:
        raise ConfigurationError(
            f"this is a backup of {manifest.database}, and the database is {kind}; it goes into its own kind only, "
            "and `python3 -m scripts import` stores conversations in either"
        )
    known = revisions()
    unknown = [name for name in (manifest.revision or "").split(",") if name and name not in known]
    if unknown:
        raise ConfigurationError(
            f"the backup is of revision {', '.join(unknown)}: restore it with the code that made it"
        )


def revisions() -> frozenset[str]:
    """Every one that this code knows, an application's own too."""
    scripts = ScriptDirectory.from_config(Config(CONFIG))
    return frozenset(script.revision for script in scripts.walk_revisions())


def _as_line(file: Path, done: Restored) -> str:
    rows = sum(table.rows for table in done.manifest.tables.values())
    verb = "restored" if done.restored else "whole"
    made = f"{done.manifest.made_at:%Y-%m-%d %H:%M} UTC"
    return f"{file.name} is {verb}: {rows} rows of {len(done.manifest.tables)} tables, made {made}"
