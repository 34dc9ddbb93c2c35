"""The `with-postgres` command: any program against a throw-away PostgreSQL 18."""

import os
import subprocess
from typing import Annotated

import typer

from scripts.console import say
from scripts.postgres import EmbeddedPostgres


def command(
    program: Annotated[list[str], typer.Argument(metavar="-- PROGRAM [ARGUMENTS]")],
) -> None:
    """Run a program with DATABASE_URL naming a new, empty PostgreSQL that ends with it.

    For instance `python -m scripts with-postgres -- alembic upgrade head`.
    """
    with EmbeddedPostgres() as server:
        environment = os.environ | {"DATABASE_URL": server.url()}
        try:
            raise typer.Exit(subprocess.call(program, env=environment))
        except FileNotFoundError:
            say(f"There is no program named {program[0]}.")
            raise typer.Exit(127) from None
