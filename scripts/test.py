"""The `test` command: the suite on both databases, with the floor of coverage if all of it runs."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parent.parent
COVERAGE = ["--cov", "--cov-report=term-missing:skip-covered"]


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- PYTEST ARGUMENTS]", show_default=False),
    ] = None,
    processes: Annotated[int, typer.Option("--processes", "-n", min=1, help="How many share the work.")] = 1,
) -> None:
    """Run the tests on SQLite and on PostgreSQL 18, which comes from a wheel.

    Everything behind `--` goes to pytest (`-- -k recall -x`); without it the whole suite runs and
    its coverage of models, database and repositories has to reach the floor of pyproject.toml.
    """
    # A process of its own: what this one has imported already would count as never executed.
    pytest = [sys.executable, "-m", "pytest", *(arguments or COVERAGE)]
    if processes > 1:
        pytest += ["-n", str(processes)]
    raise typer.Exit(subprocess.call(pytest, cwd=ROOT))
