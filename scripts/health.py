"""The `health` command: for a person in doubt, and for whatever restarts services."""

import typer
from rich.table import Table

from database import Database
from database.health import Health
from scripts.console import UNREACHABLE, AsJson, DatabaseUrl, emit, run


def command(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Say whether the database answers, and which server, revision and pool it is.

    Ends with 0 if it answers, with 3 if not.
    """
    health = run(_health(database_url))
    emit(health if as_json else _as_table(health), as_json=as_json)
    if health.status != "ok":
        raise typer.Exit(UNREACHABLE)


async def _health(database_url: str | None) -> Health:
    async with Database(database_url) as database:
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
