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
NAME = "demo.db"


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
    with suppress(OSError):
        FOLDER.mkdir(mode=0o700, exist_ok=True)
    if os.access(FOLDER, os.W_OK):
        yield f"sqlite:///{FOLDER / NAME}", os.path.relpath(FOLDER / NAME)
        return
    # Somebody else's checkout: theirs to write in.
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/{NAME}", "in a file that is gone after this demo"
