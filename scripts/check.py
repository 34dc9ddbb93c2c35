"""The `check` command: what will bite later, found now."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from database import Database
from database.health import Health
from database.inspection import vector_support
from repositories.integrity import PARTS
from scripts import deep_findings, findings
from scripts.console import CHECK_FAILED, UNREACHABLE, AsJson, DatabaseUrl, emit, err, run, say
from scripts.deep_findings import Repaired
from scripts.findings import Finding, Level
from scripts.health import of_nothing
from scripts.unhurried import unhurried

Look = Callable[[Database], AsyncIterator[Finding]]

LOOKS: dict[str, Look] = {
    "vectors": findings.of_vectors,
    "revisions": findings.of_revisions,
    "checksums": findings.of_checksums,
    "drift": findings.of_drift,
    "foreign keys": findings.of_foreign_keys,
    "spaces": findings.of_spaces,
}

FIRST = ("vectors", "revisions")
"""Without these the others would only say it again."""

DEEP: dict[str, Look] = {name: partial(deep_findings.of_part, part=name) for name in PARTS}

STYLES = {"ok": "green", Level.ERROR: "red", Level.ADVICE: "yellow"}


@dataclass(frozen=True, slots=True)
class Checked:
    """`checks` were made, in this order; `findings` are what they found."""

    reachable: bool
    database: str | None
    version: str | None
    vectors: str | None
    revision: str | None
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    repaired: tuple[Repaired, ...] = ()


def command(
    deep: Annotated[bool, typer.Option("--deep", help="Read every row: do they agree with one another?")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="With --deep: mend what can be mended.")] = False,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Look for what will bite: an old server, pending or changed revisions, drift, missing indexes.

    With --deep also for damage: orphans, wrong counters and positions, vectors that cannot be compared, a text index
    that says something else. --repair mends that in one transaction and looks again.

    Ends with 1 if something is wrong, with 3 if the database is not reached. Advice alone ends with 0.
    """
    if repair and not deep:
        raise typer.BadParameter("goes with --deep", param_hint="--repair")
    checked = run(check(database_url, deep=deep, repair=repair))
    for one in checked.repaired:
        say(f"repaired: {one.table}: {one.message} ({one.rows}): {one.cure}")
    emit(checked if as_json else _as_lines(checked), as_json=as_json)
    if not checked.reachable:
        raise typer.Exit(UNREACHABLE)
    if any(finding.level is Level.ERROR for finding in checked.findings):
        raise typer.Exit(CHECK_FAILED)


async def check(database_url: str | None, *, deep: bool = False, repair: bool = False) -> Checked:
    source = unhurried(database_url) if deep else Database(database_url)
    repaired: tuple[Repaired, ...] = ()
    if (nothing := of_nothing(source)) is not None:
        return _unreached(nothing, "look at the address, or run `python3 -m scripts migrate`")
    async with source as database:
        health = await database.health()
        if health.status != "ok":
            return _unreached(health, "look at the address, and whether it runs")
        async with database.session() as session:
            support = await vector_support(await session.core())
        vectors = support.version and f"{support.name} {support.version}"
        found = await _look(database, LOOKS)
        if deep and not any(found.get(name) for name in FIRST):
            deeper = await _look(database, DEEP)
            if repair and any(finding.remedy == deep_findings.REPAIR for part in deeper.values() for finding in part):
                repaired = await deep_findings.repair(database)
                deeper = await _look(database, DEEP)
            found |= deeper
    all_found = tuple(finding for part in found.values() for finding in part)
    checks = ("connection", *found)
    return Checked(True, health.database, health.version, vectors, health.revision, checks, all_found, repaired)


def _unreached(health: Health, remedy: str) -> Checked:
    lost = Finding(Level.ERROR, "connection", health.message, remedy)
    return Checked(False, health.database, None, None, None, ("connection",), (lost,))


async def _look(database: Database, looks: dict[str, Look]) -> dict[str, list[Finding]]:
    """What each of the looks finds, up to the first without which the others make no sense."""
    found: dict[str, list[Finding]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("", total=len(looks))
        for name, look in looks.items():
            if name not in FIRST and any(found.get(first) for first in FIRST):
                break
            progress.update(bar, description=name)
            found[name] = [finding async for finding in look(database)]
            progress.advance(bar)
    return found


def _as_lines(checked: Checked) -> Text:
    """One for each finding, and one for each check without any."""
    lines = Text()
    known = {
        "connection": checked.version,
        "vectors": checked.vectors,
        "revisions": checked.revision and f"at {checked.revision}",
    }
    for name in checked.checks:
        found = [finding for finding in checked.findings if finding.check == name]
        for finding in found:
            _line(lines, finding.level, name, f"{finding.message}; {finding.remedy}")
        if not found:
            _line(lines, "ok", name, known.get(name) or "")
    lines.rstrip()
    return lines


def _line(lines: Text, level: str, name: str, words: str) -> None:
    lines.append(f"{level:<8}", STYLES[level]).append(f"{name:<14}{words}".rstrip()).append("\n")
