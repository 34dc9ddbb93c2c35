"""The command line: every command by its name, and what an error means for the exit code."""

import importlib
import importlib.util
import sys

import typer

from scripts.console import CHECK_FAILED, INTERRUPTED, UNREACHABLE, USAGE, err

# The name on the command line and the module that holds its `command` function.
COMMANDS = {
    "demo": "scripts.demo",
    "test": "scripts.test",
    "seed": "scripts.seed",
    "import": "scripts.importing",
    "migrate": "scripts.migrate",
    "health": "scripts.health",
    "check": "scripts.check",
    "index": "scripts.index",
    "with-postgres": "scripts.with_postgres",
}

app = typer.Typer(
    name="python -m scripts",
    help="persona-store: the memory of chat personas. "
    "Exit codes: 0 ok, 1 a check failed, 2 usage, 3 database unreachable, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for name, module in COMMANDS.items():
    if importlib.util.find_spec(module):
        app.command(name)(importlib.import_module(module).command)


def main() -> None:
    """Run the command of sys.argv and exit: an error of ours is a sentence, never a traceback."""
    from database.errors import ConfigurationError, StoreError, UnavailableError
    from scripts.postgres import PostgresUnavailableError

    try:
        app()
    except (StoreError, PostgresUnavailableError) as error:
        err.print(
            f"{type(error).__name__.removesuffix('Error')}: {error}", style="red", markup=False
        )
        match error:
            case UnavailableError() | PostgresUnavailableError():
                sys.exit(UNREACHABLE)
            case ConfigurationError():
                sys.exit(USAGE)
            case _:
                sys.exit(CHECK_FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
