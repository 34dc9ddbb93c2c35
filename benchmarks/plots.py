"""`python -m benchmarks.plots RESULT.json FOLDER`: the ratios to the raw driver, and what grows with the rows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.figures import CORE, OURS, Figure, Run
from benchmarks.report import from_json, title
from benchmarks.targets import target_of
from scripts.console import USAGE, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

FORMATS = ("png", "svg")
DOTS = 150
COLOURS = {CORE: "#9aa5b1", OURS: "#1f6f8b"}
NAMES = {CORE: "SQLAlchemy Core", OURS: "this project"}
GROWTH = {"append.growth": "append", "history.last": "last 50", "nearest.growth": "recall in a persona"}
LINES = ("#1f6f8b", "#c8553d", "#588157")


def command(
    result: Annotated[Path, typer.Argument(help="What `python -m benchmarks --json` printed.", exists=True)],
    folder: Annotated[Path, typer.Argument(help="Where the pictures go; made if it is not there.")],
) -> None:
    """Draw ratios and growth of a result, each as PNG and SVG."""
    try:
        runs = from_json(json.loads(result.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError):
        raise typer.BadParameter("is not what `python -m benchmarks --json` printed", param_hint="RESULT") from None
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        say('[red]The plots need matplotlib: pip install "persona-store\\[benchmarks]".[/red]')
        raise typer.Exit(USAGE) from None
    plt.switch_backend("agg")
    # The same picture from the same figures, byte by byte.
    plt.rcParams.update({"svg.hashsalt": "benchmarks", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in (("ratios", draw_ratios(runs)), ("growth", draw_growth(runs))):
        for kind in FORMATS:
            drawing.savefig(folder / f"{name}.{kind}", dpi=DOTS, metadata={"Date": None} if kind == "svg" else None)
        plt.close(drawing)


def draw_ratios(runs: Sequence[Run]) -> "Drawing":
    """A bar for each figure with a target that is a ratio, and a mark at what it must be."""
    import matplotlib.pyplot as plt

    chosen = [(run, found) for run in runs if (found := compared(run))]
    height = 1.2 + sum(0.34 * len(found) + 0.6 for _, found in chosen)
    drawing, places = plt.subplots(
        max(1, len(chosen)),
        squeeze=False,
        figsize=(8, height),
        layout="constrained",
        height_ratios=[len(found) for _, found in chosen] or [1],
    )
    for place, (run, found) in zip(places[:, 0], chosen, strict=False):
        _bars(place, run, found)
    drawing.supxlabel("ratio to the raw driver in the same run (1: as fast; | : what it must be)")
    return drawing


def compared(run: Run) -> list[Figure]:
    """Those that are held against the limit as a ratio; of one at several sizes the largest."""
    latest: dict[str, Figure] = {}
    for figure in run.figures:
        target = target_of(run.database, figure.key)
        if target is not None and target.of_ratio and OURS in figure.ratios:
            latest[figure.key] = figure
    return list(latest.values())


def _bars(place: "Axes", run: Run, found: Sequence[Figure]) -> None:
    for number, figure in enumerate(found):
        target = target_of(run.database, figure.key)
        assert target is not None
        for offset, layer in ((-0.2, CORE), (0.2, OURS)):
            if layer in figure.ratios:
                label = NAMES[layer] if number == 0 else None
                place.barh(number + offset, figure.ratios[layer], 0.38, color=COLOURS[layer], label=label)
        place.plot([target.must] * 2, [number - 0.45, number + 0.45], color="#c8553d", linewidth=2)
    directions = [target_of(run.database, figure.key) for figure in found]
    marks = ["less is better" if target is not None and target.less else "more is better" for target in directions]
    names = [f"{figure.workload} {figure.what}\n({mark})" for figure, mark in zip(found, marks, strict=True)]
    place.set_yticks(range(len(found)), names)
    place.invert_yaxis()
    place.axvline(1, color="black", linewidth=0.8)
    place.set_title(title(run), loc="left", x=-0.6)
    place.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize="small")
    place.spines[["top", "right"]].set_visible(False)


def draw_growth(runs: Sequence[Run]) -> "Drawing":
    """How long an operation takes beside so many rows, both on scales of powers of ten."""
    import matplotlib.pyplot as plt

    lines_of = [(run, growing(run)) for run in runs]
    chosen = [(run, lines) for run, lines in lines_of if any(lines.values())]
    count = max(1, len(chosen))
    drawing, places = plt.subplots(
        1, count, squeeze=False, sharey=True, figsize=(4.2 * count, 3.4), layout="constrained"
    )
    for place, (run, lines) in zip(places[0], chosen, strict=False):
        for (key, points), colour in zip(lines.items(), LINES, strict=True):
            if points:
                place.plot(*zip(*points, strict=True), marker="o", color=colour, label=GROWTH[key])
        place.set(xscale="log", yscale="log", xlabel="rows", title=title(run))
        place.yaxis.set_major_formatter("{x:g}")
        place.yaxis.set_minor_formatter("")
        place.set_ylim(0.1, 100)
        place.grid(alpha=0.3)
        place.legend(frameon=False)
    places[0][0].set_ylabel("median, ms")
    return drawing


def growing(run: Run) -> dict[str, list[tuple[int, float]]]:
    """(rows, milliseconds) of what is measured at several sizes."""
    return {
        key: [(figure.rows or 0, figure.layers[OURS]) for figure in run.figures if figure.key == key] for key in GROWTH
    }


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app(prog_name="python -m benchmarks.plots")
