"""`python -m benchmarks.page RESULT.json [PAGE.md]`: the table of a result as Markdown, printed or put into a page."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.report import as_markdown, from_json
from scripts.console import emit

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def command(
    result: Annotated[Path, typer.Argument(help="What `python -m benchmarks --json` printed.", exists=True)],
    page: Annotated[
        Path | None, typer.Argument(help=f"What stands there between {BEGIN} and {END} is replaced.", exists=True)
    ] = None,
) -> None:
    """Make the table of a result that was measured before."""
    try:
        text = as_markdown(from_json(json.loads(result.read_text(encoding="utf-8"))))
    except (ValueError, KeyError, TypeError):
        raise typer.BadParameter("is not what `python -m benchmarks --json` printed", param_hint="RESULT") from None
    if page is None:
        emit(text, as_json=False)
        return
    before = page.read_text(encoding="utf-8")
    after, times = re.subn(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{text}\n{END}", before, flags=re.DOTALL)
    if times != 1:
        raise typer.BadParameter(f"has not one place between {BEGIN} and {END}", param_hint="PAGE")
    page.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app(prog_name="python -m benchmarks.page")
