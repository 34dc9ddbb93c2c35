"""`python -m benchmarks.scale`: whether calls stay as quick as they were while one PostgreSQL fills."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.bench import SERVER
from benchmarks.report import as_text
from benchmarks.scale.filling import EACH
from benchmarks.scale.growth import Growth
from benchmarks.scale.report import as_json, as_markdown, as_table
from scripts.console import INTERRUPTED, UNREACHABLE, AsJson, emit, err, out, run
from scripts.postgres import EmbeddedPostgres, PostgresUnavailableError

# A million vectors of 384 dimensions and their links are built in memory, or four times as slow.
OPTIONS = SERVER | {"maintenance_work_mem": "3GB", "max_wal_size": "8GB"}


def command(
    messages: Annotated[int, typer.Option(min=100, help="The most of them.")] = 10_000_000,
    memories: Annotated[int, typer.Option(min=EACH, help="The most of them, each with a vector.")] = 1_000_000,
    dimensions: Annotated[int, typer.Option(min=2, max=4_000, help="Of the vectors.")] = 384,
    minutes: Annotated[float, typer.Option(min=0.1, help="After which no more is stored.")] = 60,
    operations: Annotated[int, typer.Option(min=10, help="Of each kind, at each step.")] = 300,
    folder: Annotated[
        Path | None, typer.Option(help="Keeps the database and the figures; the same command goes on with them.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of a table.")] = False,
    as_json_: AsJson = False,
) -> None:
    """Fill one PostgreSQL step by step, and measure at each step what calls take.

    It stops growing where the minutes would not do, and tells how far it came.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress,
        _folder(folder) as at,
        EmbeddedPostgres(at / "server", options=OPTIONS) as server,
    ):
        growth = Growth(messages, memories, dimensions, minutes * 60, operations, at / "scale.json", progress)
        run(growth.go(server.url()))
    if as_json_:
        emit(as_json(growth.machine, growth.steps), as_json=True)
    elif markdown:
        emit(as_markdown(growth.machine, growth.steps), as_json=False)
    else:
        emit(as_table(growth.steps) if out.is_terminal else as_text(as_table(growth.steps)), as_json=False)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="scale-") as path:
        # The server may run as another account.
        Path(path).chmod(0o755)
        yield Path(path)


def main() -> None:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app(prog_name="python -m benchmarks.scale")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except PostgresUnavailableError as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(UNREACHABLE)


if __name__ == "__main__":
    main()
