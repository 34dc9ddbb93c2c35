"""The command line: every command by its name, and what an error means for the exit code."""

import contextlib
import importlib
import io
import sys
from collections.abc import Sequence

import typer

from scripts.console import CHECK_FAILED, INTERRUPTED, UNREACHABLE, USAGE, err

# Name: the module with its `command` function, and one line for the overview.
COMMANDS = {
    "demo": ("scripts.demo", "Show the whole store at work on sample conversations."),
    "test": ("scripts.test", "Run the tests on SQLite and PostgreSQL."),
    "torture": ("scripts.torture.command", "Break the store on purpose, and see what it keeps."),
    "migrate": ("scripts.migrate", "Bring the database to the newest revision."),
    "check": ("scripts.check", "Look for what will bite: drift, missing indexes, old servers."),
    "backup": ("scripts.backup", "Copy the whole database into one file, while others write."),
    "restore": ("scripts.restore", "Put a backup back, and look at it before it is called good."),
    "health": ("scripts.health", "Say whether the database answers, and what it is."),
    "seed": ("scripts.seed", "Store two sample personas with their modules."),
    "import": ("scripts.importing", "Store conversations from a file of JSON lines."),
    "index": ("scripts.index", "Build the vector index of an embedding space."),
    "reembed": ("scripts.reembed", "Give texts their vectors by another model."),
    "with-postgres": ("scripts.with_postgres", "Run a program against a throw-away PostgreSQL."),
}


def build(arguments: Sequence[str]) -> typer.Typer:
    """The application; only the module of the command that is asked for is imported."""
    app = typer.Typer(
        help="The memory of chat personas, on SQLite and PostgreSQL.",
        epilog="Exit codes: 0 ok, 1 a check failed, 2 usage, 3 database unreachable, 130 interrupted.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module, summary) in COMMANDS.items():
        if name == asked:
            app.command(name)(importlib.import_module(module).command)
        else:
            app.command(name, help=summary)(_not_asked)
    return app


def _not_asked() -> None:
    """Stand in for a command that only the overview shows."""


def main() -> None:
    """Run the command of sys.argv and exit: an error of ours is a sentence, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that does not know a letter shows another one; that is no reason to stop.
            stream.reconfigure(errors="replace")
    try:
        _log()
        build(sys.argv[1:])(prog_name="python3 -m scripts")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if (code := _exit_code(error)) is None:
            raise
        err.print(f"{type(error).__name__}: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(code)


def _log() -> None:
    from pydantic import ValidationError

    from database.settings import load_settings
    from scripts.logs import configure

    # Settings that are no good are refused where they are needed: help is given without them.
    with contextlib.suppress(ValidationError):
        configure(load_settings())


def _exit_code(error: Exception) -> int | None:
    """What a script that called us may want to know; None for a mistake of ours."""
    from database.errors import ConfigurationError, StoreError, UnavailableError
    from scripts.postgres import PostgresUnavailableError

    match error:
        case UnavailableError() | PostgresUnavailableError():
            return UNREACHABLE
        case ConfigurationError():
            return USAGE
        case StoreError():
            return CHECK_FAILED
    return None
