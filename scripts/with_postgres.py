"""The `with-postgres` command: any program against a PostgreSQL 18 of its own."""

import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from scripts.console import say
from scripts.postgres import EmbeddedPostgres


def command(
    program: Annotated[list[str], typer.Argument(metavar="-- PROGRAM [ARGUMENTS]")],
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep the data there for the next time.", show_default=False),
    ] = None,
) -> None:
    """Run a program with DATABASE_URL naming a PostgreSQL of its own, which ends with it.

    For instance `python -m scripts with-postgres -- alembic upgrade head`. It is new and empty,
    unless `--folder` names one from an earlier time.
    """
    with EmbeddedPostgres(folder) as server:
        environment = os.environ | {"DATABASE_URL": server.url()}
        try:
            raise typer.Exit(subprocess.call(program, env=environment))
        except FileNotFoundError:
            say(f"There is no program named {program[0]}.")
            raise typer.Exit(127) from None
