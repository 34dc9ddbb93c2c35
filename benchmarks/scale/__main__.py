"""`python -m benchmarks.scale`: whether calls stay as quick as they were while one PostgreSQL fills."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.bench import SERVER, new_folder
from benchmarks.report import shown
from benchmarks.scale.filling import EACH
from benchmarks.scale.growth import Growth
from benchmarks.scale.report import as_json, as_markdown, as_table
from benchmarks.start import start
from scripts.console import AsJson, emit, err, run
from scripts.postgres import EmbeddedPostgres

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
        emit(shown(as_table(growth.steps)), as_json=False)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is None:
        with new_folder() as made:
            yield made
    else:
        given.mkdir(parents=True, exist_ok=True)
        yield given


if __name__ == "__main__":
    start(command, "benchmarks.scale")
