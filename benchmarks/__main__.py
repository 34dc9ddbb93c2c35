"""`python -m benchmarks`: what each call costs, against the raw driver and against SQLAlchemy Core, in the same run."""

import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.bench import Sizes, opened, place
from benchmarks.kept import Kept, Part
from benchmarks.machine import describe
from benchmarks.recall import Databases
from benchmarks.report import as_json, as_markdown, as_table, missed, shown
from benchmarks.start import start
from benchmarks.workloads import WORKLOADS
from scripts.console import CHECK_FAILED, AsJson, emit, err, run, say

WHOLE = Sizes()
LEVELS = {Databases.POSTGRES: ("on",), Databases.SQLITE: ("FULL", "NORMAL")}
"""Of durability. Where it makes no difference to a workload, the first is measured."""


def command(
    db: Annotated[Databases, typer.Option(help="Where to measure.")] = Databases.BOTH,
    workload: Annotated[str, typer.Option(metavar="W1,W2,...", help="Which of w1 to w7.")] = ",".join(WORKLOADS),
    rounds: Annotated[int, typer.Option(min=1, help="Of each layer, one after the other.")] = WHOLE.rounds,
    rows: Annotated[int, typer.Option(min=100, help="The most of them anywhere.")] = WHOLE.rows,
    operations: Annotated[int, typer.Option(min=1, help="Of each layer in a round.")] = WHOLE.operations,
    questions: Annotated[int, typer.Option(min=1, help="To recall, of each layer in a round.")] = WHOLE.questions,
    seconds: Annotated[float, typer.Option(min=0.05, help="Of the agents, each layer in a round.")] = WHOLE.seconds,
    dimensions: Annotated[int, typer.Option(min=2, help="Of the vectors.")] = WHOLE.dimensions,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where the databases are made; without it where temporary files go.", exists=True),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 where a figure is not what it must be.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of a table.")] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Keep the figures there, workload by workload; the same command goes on after a stop."
        ),
    ] = None,
    as_json_: AsJson = False,
) -> None:
    """Measure the workloads of docs/performance.md: the raw driver, SQLAlchemy Core and this project, side by side.

    Each round asks every layer; the figures are medians over the rounds, the ratios medians of what each round's own
    limit gives. SQLite is measured at synchronous FULL, and what writes at NORMAL too.
    """
    names = [name.strip().lower() for name in workload.split(",") if name.strip()]
    if unknown := sorted(set(names) - WORKLOADS.keys()):
        raise typer.BadParameter(f"no workload {', '.join(unknown)}", param_hint="--workload")
    asked = [
        Part(database.value, synchronous, name)
        for database, levels in LEVELS.items()
        if db in (database, Databases.BOTH)
        for synchronous in levels
        for name in names
        if synchronous == levels[0] or WORKLOADS[name].writes
    ]
    sizes = Sizes(rounds, rows, operations, seconds, dimensions, questions)
    kept, failed = Kept(file, asked, sizes), list[Part]()
    if len(kept.left) < len(asked):
        say(f"Going on: {len(kept.left)} of {len(asked)} are left.")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        for _, parts in groupby(list(kept.left), key=lambda part: (part.database, part.synchronous)):
            together = list(parts)
            with place(together[0].database, folder) as url:
                failed += run(measure(url, together, sizes, progress, kept))
    runs = kept.runs
    if markdown:
        emit(as_markdown(runs), as_json=False)
    else:
        emit(as_json(runs) if as_json_ else shown(as_table(runs)), as_json=as_json_)
    if failed:
        say(f"Failed, and not shown: {', '.join(f'{part.workload} on {part.database}' for part in failed)}")
        raise typer.Exit(CHECK_FAILED)
    if check and (found := missed(runs)):
        say("Not as it must be: " + "; ".join(found))
        raise typer.Exit(CHECK_FAILED)


async def measure(url: str, parts: Sequence[Part], sizes: Sizes, progress: Progress, kept: Kept) -> Sequence[Part]:
    """The figures of workloads of one database at one level; returns those that broke down."""
    db, synchronous, failed = parts[0].database, parts[0].synchronous, []
    async with opened(db, url, synchronous, sizes, progress) as bench:
        machine = await describe(db, bench.database)
        for part in parts:
            start = time.monotonic()
            try:
                kept.add(part, machine, await WORKLOADS[part.workload].measure(bench))
            except Exception:
                # After an hour of others, which are worth to be seen.
                failed.append(part)
                err.print_exception()
            say(f"{part.workload} on {db}, synchronous {synchronous}: {time.monotonic() - start:,.0f} s")
    return failed


if __name__ == "__main__":
    start(command, "benchmarks")
