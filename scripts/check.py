"""The `check` command: what will bite later, found now."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import typer
from rich.text import Text

from database import Database
from database.inspection import vector_support
from scripts import findings
from scripts.console import CHECK_FAILED, UNREACHABLE, AsJson, DatabaseUrl, emit, run
from scripts.findings import Finding, Level

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


def command(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Look for what will bite: an old server, pending or changed revisions, drift, missing indexes.

    Ends with 1 if something is wrong, with 3 if the database is not reached. Advice alone ends with 0.
    """
    checked = run(check(database_url))
    emit(checked if as_json else _as_lines(checked), as_json=as_json)
    if not checked.reachable:
        raise typer.Exit(UNREACHABLE)
    if any(finding.level is Level.ERROR for finding in checked.findings):
        raise typer.Exit(CHECK_FAILED)


async def check(database_url: str | None) -> Checked:
    async with Database(database_url) as database:
        health = await database.health()
        if health.status != "ok":
            lost = Finding(Level.ERROR, "connection", health.message, "look at the address, and whether it runs")
            return Checked(False, health.database, None, None, None, ("connection",), (lost,))
        async with database.session() as session:
            support = await vector_support(await session.core())
        vectors = support.version and f"{support.name} {support.version}"
        checks, found = ["connection"], list[Finding]()
        for name, look in LOOKS.items():
            if name not in FIRST and any(finding.check in FIRST for finding in found):
                break
            checks.append(name)
            found += [finding async for finding in look(database)]
    return Checked(True, health.database, health.version, vectors, health.revision, tuple(checks), tuple(found))


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
