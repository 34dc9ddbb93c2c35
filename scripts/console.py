"""How every command speaks: data on standard output, words on standard error, and the exit codes.

A command is one file with one function `command(...)`, written for typer: its docstring is the
help text, its annotated parameters are the options. It does its work through this file:

    def command(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
        \"\"\"Count the conversations.\"\"\"
        emit(run(_count(database_url)), as_json=as_json)

It lets errors of ours through: scripts/app.py turns them into a sentence and an exit code. A
check that found something ends with `raise typer.Exit(CHECK_FAILED)`.
"""

import asyncio
import dataclasses
import json
from collections.abc import Coroutine, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

ResultT = TypeVar("ResultT")

OK, CHECK_FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="The database; without it DATABASE_URL from the environment or .env.",
        show_default=False,
    ),
]


def run(coroutine: Coroutine[None, None, ResultT]) -> ResultT:
    """Run a command's work in an event loop of its own and return its result."""
    return asyncio.run(coroutine)


def say(text: str) -> None:
    """Print words for a person: rich markup, on standard error."""
    err.print(text, soft_wrap=True)


def emit(data: object, *, as_json: bool) -> None:
    """Print data on standard output: as JSON, or for a person as rich renders it.

    Dataclasses, pydantic models, UUIDs, times, enums and exact numbers become JSON by themselves;
    a Decimal becomes a string, which loses nothing.
    """
    if as_json:
        typer.echo(json.dumps(data, default=_plain, ensure_ascii="utf" not in out.encoding, indent=2))
    else:
        # Lines stay whole, for whoever searches them; what rich lays out fits the terminal.
        out.print(data, soft_wrap=isinstance(data, str | Text))


def _plain(value: object) -> object:
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case Mapping():
            return dict(value)
        case Enum():
            return value.value
        case date():
            return value.isoformat()
        case UUID() | Decimal() | Path():
            return str(value)
        case set() | frozenset() | tuple():
            return list(value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = dataclasses.fields(value)
            return {field.name: getattr(value, field.name) for field in fields}
    raise TypeError(f"{type(value).__name__} has no JSON form here")
