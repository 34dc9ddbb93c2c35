"""The `health` command: for a person in doubt, and for whatever restarts services."""

import typer
from rich.table import Table

from database import Database
from database.health import Health
from database.url import is_missing
from scripts.console import UNREACHABLE, AsJson, DatabaseUrl, emit, run


def command(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Say whether the database answers, and which server, revision and pool it is.

    Ends with 0 if it answers, with 3 if not, or if there is none.
    """
    health = run(_health(database_url))
    emit(health if as_json else _as_table(health), as_json=as_json)
    if health.status != "ok":
        raise typer.Exit(UNREACHABLE)


def of_nothing(database: Database) -> Health | None:
    """What is said of a SQLite file that is not there, which is not made by asking; None where there is something."""
    if not is_missing(database.url):
        return None
    return Health("error", "there is no database: no such file", database.url.database)


async def _health(database_url: str | None) -> Health:
    source = Database(database_url)
    if (nothing := of_nothing(source)) is not None:
        return nothing
    async with source as database:
        return await database.health()


def _as_table(health: Health) -> Table:
    table = Table.grid(padding=(0, 2))
    pool = health.pool
    rows = {
        "status": health.status,
        "message": health.message,
        "database": health.database,
        "version": health.version,
        "host": health.host,
        "port": health.port,
        "revision": health.revision or "none: run `python3 -m scripts migrate`",
        "pool": pool and f"{pool.checked_out} in use, {pool.checked_in} idle, {pool.size} kept at most",
    }
    for name, value in rows.items():
        if value is not None and (health.status == "ok" or name != "revision"):
            table.add_row(name, str(value))
    return table
