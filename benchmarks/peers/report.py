"""A line for each peer: its figures, and their ratios to the raw driver."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Column

from benchmarks.figures import CORE, LIMIT, OURS, Run
from benchmarks.report import described, markdown_table, title
from scripts.tables import number, table

NAMES = {LIMIT: "the raw driver", CORE: "SQLAlchemy Core", OURS: "this project"}


def as_table(runs: Sequence[Run]) -> RenderableType:
    shown = []
    for run in runs:
        part = table(Column("", no_wrap=True), *map(number, _heads(run)), title=title(run))
        for row in _rows(run):
            part.add_row(*row)
        shown.append(part)
    return Group(*shown)


def as_markdown(runs: Sequence[Run]) -> str:
    return "\n\n".join(
        f"### {title(run)}\n\n{described(run.machine)}\n\n{markdown_table(['', *_heads(run)], _rows(run))}"
        for run in runs
    )


def _heads(run: Run) -> list[str]:
    return [f"{figure.what}, {figure.unit}" for figure in run.figures]


def _rows(run: Run) -> Iterator[list[str]]:
    for name in run.figures[0].layers:
        cells = ((figure.layers[name], figure.ratios[name]) for figure in run.figures)
        yield [NAMES.get(name, name), *(f"{value:,.2f} · {ratio:.2f}x" for value, ratio in cells)]
