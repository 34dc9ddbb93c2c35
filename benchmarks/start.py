"""How a benchmark is run from the command line: what it says where it is stopped, or has no server."""

import sys
from collections.abc import Callable

import typer

from scripts.console import INTERRUPTED, UNREACHABLE, err
from scripts.postgres import PostgresUnavailableError


def start(command: Callable[..., None], name: str) -> None:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app(prog_name=f"python -m {name}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except PostgresUnavailableError as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(UNREACHABLE)
