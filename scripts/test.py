"""The `test` command: the suite on both databases, and what of the code it reaches."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parent.parent
COVERAGE = ["--cov", "--cov-report=term-missing:skip-covered"]
MOST_PROCESSES = 4  # each one starts a PostgreSQL of its own


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- PYTEST ARGUMENTS]", show_default=False),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option("--processes", "-n", min=1, help="How many share the whole suite.", show_default="one a core"),
    ] = None,
    faults: Annotated[bool, typer.Option("--faults", help="Only the tests that break things on purpose.")] = False,
    slow: Annotated[bool, typer.Option("--slow", help="Only the tests that take long.")] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Count the branches that are reached; two to three times slower.")
    ] = False,
) -> None:
    """Run the tests on SQLite and on PostgreSQL 18, which comes from a wheel.

    Those that break things on purpose, marked `faults`, are a run of their own: --faults; those that
    take long, marked `slow`, another: --slow.
    Everything behind `--` goes to pytest (`-- -k recall -x`). With --coverage the whole suite's
    coverage of models, database and repositories has to reach the floor of pyproject.toml; tests
    that only look at programs from outside, marked `processes`, are left out of that.
    """
    count = processes or (1 if arguments else min(os.cpu_count() or 1, MOST_PROCESSES))
    workers = ["-n", str(count)] if count > 1 else []
    # A process of its own: what this one has imported already would count as never executed.
    pytest = [sys.executable, "-m", "pytest", *workers, *(COVERAGE if coverage else [])]
    # The last -m counts: one behind `--` wins.
    pytest += ["-m", _marked(faults=faults, slow=slow, coverage=coverage), *(arguments or [])]
    # The suite starts many processes: none of them should compile again what another one has.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    raise typer.Exit(subprocess.call(pytest, cwd=ROOT, env=environment))


def _marked(*, faults: bool, slow: bool, coverage: bool) -> str:
    """Which tests are run, in pytest's words for markers."""
    asked = {"faults": faults, "slow": slow}
    wanted = [name for name, is_asked in asked.items() if is_asked]
    words = f"({' or '.join(wanted)})" if wanted else "not faults and not slow"
    return f"{words} and not processes" if coverage else words
