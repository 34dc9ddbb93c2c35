"""The `demo` command: the whole store at work, in a database of its own."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from database import Database
from database.settings import load_settings
from scripts.console import AsJson, emit, run
from scripts.demonstration.account import account_of
from scripts.demonstration.story import Story, tell
from scripts.postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".data"


def command(
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, show_default=False, help="Conversations of your own."
        ),
    ] = None,
    postgres: Annotated[
        bool, typer.Option("--postgres", help="On a real PostgreSQL 18, which a wheel brings.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the whole store at work: on the sample, or on a file in the format of docs/import-format.md.

    In a database of its own: the SQLite file .data/demo.db, or with --postgres a server that is gone afterwards. What
    DATABASE_URL names is not touched. Nothing is asked over the network.
    """
    with _database(postgres) as (url, place):
        story = run(_tell(url, file))
    emit(story if as_json else account_of(story, place, file.name if file else None), as_json=as_json)


async def _tell(url: str, file: Path | None) -> Story:
    settings = load_settings().model_copy(update={"database_url": SecretStr(url), "database_read_url": None})
    async with Database(settings) as database:
        return await tell(database, file)


@contextmanager
def _database(postgres: bool) -> Iterator[tuple[str, str]]:
    """Its URL, and where it is in words."""
    if postgres:
        with EmbeddedPostgres() as server:
            yield server.url(), "started for this demo and gone after it"
        return
    folder = FOLDER
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
    if not os.access(folder, os.W_OK):
        # Somebody else's checkout: theirs to write in.
        folder = Path(tempfile.gettempdir()) / f"persona-store-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "demo.db"
    yield f"sqlite:///{path}", str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
