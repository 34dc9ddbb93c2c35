"""`python -m benchmarks.page RESULT.json [PAGE.md]`: the tables of a result as Markdown, printed or put into a page."""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.peers import report as peers
from benchmarks.report import as_markdown, from_json
from benchmarks.scale import report as scale
from scripts.console import emit


def command(
    result: Annotated[
        Path, typer.Argument(help="What `benchmarks`, `benchmarks.peers` or `benchmarks.scale` kept.", exists=True)
    ],
    page: Annotated[
        Path | None,
        typer.Argument(help="What is there between <!-- figures --> and <!-- /figures --> is replaced.", exists=True),
    ] = None,
) -> None:
    """Make the tables of a result that was measured before; those of peers and of scale have places of these names."""
    try:
        place, text = tables(json.loads(result.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError):
        raise typer.BadParameter("is not what the benchmarks kept, or printed as JSON", param_hint="RESULT") from None
    if page is None:
        emit(text, as_json=False)
        return
    begin, end = f"<!-- {place} -->", f"<!-- /{place} -->"
    before = page.read_text(encoding="utf-8")
    after, times = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{text}\n{end}", before, flags=re.DOTALL)
    if times != 1:
        raise typer.BadParameter(f"has not one place between {begin} and {end}", param_hint="PAGE")
    page.write_text(after, encoding="utf-8")


def tables(data: Any) -> tuple[str, str]:
    """Where they go, and their text."""
    if isinstance(data, dict):
        return "scale", scale.as_markdown(data["machine"], scale.from_json(data["steps"]))
    runs = from_json(data)
    if any(figure.key.startswith("peers.") for run in runs for figure in run.figures):
        return "peers", peers.as_markdown(runs)
    return "figures", as_markdown(runs)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app(prog_name="python -m benchmarks.page")
