"""The `backup` command: a whole copy of the database in one file, while others write."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from database import Database
from database.errors import ConfigurationError, ConnectionLostError
from scripts.backups import Manifest, kind_of, write
from scripts.backups.archive import describe
from scripts.console import AsJson, DatabaseUrl, emit, err, run
from scripts.unhurried import unhurried


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="Where the backup goes.")],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Copy the whole database into FILE, as it is at one moment, while others go on writing.

    The file carries checksums of itself and of every table; `restore` refuses it if a byte of it has changed. On
    PostgreSQL pg_dump is needed, of the server's version or newer.
    """
    manifest = run(backup(unhurried(database_url), file, force=force))
    emit(manifest if as_json else _as_line(file, manifest), as_json=as_json)


async def backup(database: Database, file: Path, *, force: bool = False) -> Manifest:
    """Raises ConfigurationError where FILE is there already and `force` does not say otherwise."""
    file = _place(file, force)
    kind = kind_of(database)
    columns = (TextColumn("backup"), BarColumn(), TaskProgressColumn())
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as place:
        data = Path(place, "data")
        async with database:
            with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
                bar = progress.add_task("", total=1.0)
                sums = await kind.dump(database, data, lambda done: progress.update(bar, completed=done))
            health = await database.health()
        if health.status != "ok":
            raise ConnectionLostError
        manifest = Manifest(
            database=database.url.get_backend_name(),
            version=health.version or "",
            made_at=datetime.now(UTC),
            revision=health.revision,
            tables=sums,
            data=describe(data),
        )
        write(file, manifest, data)
    return manifest


def _place(file: Path, force: bool) -> Path:
    if file.exists() and not force:
        raise ConfigurationError(f"{file} is there already; --force replaces it")
    if not file.absolute().parent.is_dir():
        raise ConfigurationError(f"there is no folder {file.absolute().parent}")
    return file.absolute()


def _as_line(file: Path, manifest: Manifest) -> str:
    rows = sum(table.rows for table in manifest.tables.values())
    return f"{file.name}: {rows} rows of {len(manifest.tables)} tables, revision {manifest.revision}"
