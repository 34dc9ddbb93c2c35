"""How the figures are shown: a table for a person, Markdown for a page, JSON for a program."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group, RenderableType

from benchmarks.figures import CORE, LIMIT, OURS, Figure, Run
from benchmarks.targets import target_of
from scripts.console import out
from scripts.tables import number, table

WIDTH = 120
HEADERS = ("", "", "limit", "Core", "ours", "must", "goal", "met")


def as_json(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Each figure with its target and what came of it."""
    return [
        {
            **asdict(run),
            "figures": [asdict(figure) | _judged(run.database, figure) for figure in run.figures],
        }
        for run in runs
    ]


def from_json(data: Sequence[Mapping[str, Any]]) -> list[Run]:
    fields = Figure.__dataclass_fields__.keys()
    return [
        Run(
            run["database"],
            run["synchronous"],
            run["machine"],
            [Figure(**{name: figure[name] for name in fields}) for figure in run["figures"]],
        )
        for run in data
    ]


def as_table(runs: Sequence[Run]) -> RenderableType:
    parts: list[RenderableType] = []
    for run in runs:
        part = table("", "", *map(number, HEADERS[2:-1]), HEADERS[-1], title=title(run))
        workload = ""
        for figure in run.figures:
            part.add_row(figure.workload if figure.workload != workload else "", *_cells(run.database, figure))
            workload = figure.workload
        parts.append(part)
    return Group(*parts)


def as_text(tables: RenderableType) -> str:
    console = Console(width=WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(tables)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def shown(tables: RenderableType) -> RenderableType | str:
    """For whoever reads standard output: what is no terminal takes lines of any length."""
    return tables if out.is_terminal else as_text(tables)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], words: Container[int] = (0,)) -> str:
    """The columns at these places are `words`, the others numbers."""
    rule = "".join("---|" if place in words else "--:|" for place in range(len(head)))
    first, *others = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join([first, f"|{rule}", *others])


def as_markdown(runs: Sequence[Run]) -> str:
    """A table for each run, and the machine above it."""
    return "\n\n".join(map(_markdown, runs))


def _markdown(run: Run) -> str:
    rows = ([figure.workload, *_cells(run.database, figure)] for figure in run.figures)
    lines = markdown_table(HEADERS, rows, words=(0, 1, len(HEADERS) - 1))
    return f"### {title(run)}\n\n{described(run.machine)}\n\n{lines}"


def described(machine: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in machine.items()) + "."


def title(run: Run) -> str:
    return {"postgres": "PostgreSQL", "sqlite": "SQLite"}[run.database] + f", synchronous {run.synchronous}"


def missed(runs: Sequence[Run]) -> list[str]:
    """What is not as it must be."""
    verdicts = [(run, figure, figure.judged(run.database)) for run in runs for figure in run.figures]
    return [
        f"{title(run)}: {figure.workload} {figure.what}"
        for run, figure, verdict in verdicts
        if verdict is not None and not verdict.must_met
    ]


def _cells(db: str, figure: Figure) -> list[str]:
    target, verdict = target_of(db, figure.key), figure.judged(db)
    size = "" if figure.rows is None else f" ({figure.rows:,})"
    return [
        f"{figure.what}{size}{f', {figure.unit}' if figure.unit else ''}",
        _shown(figure.layers.get(LIMIT)),
        *(_with_ratio(figure, layer) for layer in (CORE, OURS)),
        "" if target is None else target.shown(target.must),
        "" if target is None else target.shown(target.goal),
        "" if verdict is None else "goal" if verdict.goal_met else "must" if verdict.must_met else "no",
    ]


def _with_ratio(figure: Figure, layer: str) -> str:
    ratio = figure.ratios.get(layer)
    value = _shown(figure.layers.get(layer))
    return value if ratio is None else f"{value} · {_shown(ratio, 'x')}"


def _shown(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 or (value == int(value) and not unit) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}{unit}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}{unit}"


def _judged(db: str, figure: Figure) -> dict[str, Any]:
    verdict = figure.judged(db)
    if verdict is None:
        return {"must": None, "goal": None, "judged": None, "must_met": None, "goal_met": None}
    target = verdict.target
    return {
        "must": target.must,
        "goal": target.goal,
        "judged": verdict.value,
        "must_met": verdict.must_met,
        "goal_met": verdict.goal_met,
    }
