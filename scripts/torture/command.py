"""The `torture` command: break the store in every way that we know, and print what was kept."""

import asyncio
import logging
import os
import tempfile
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from scripts.console import CHECK_FAILED, AsJson, emit, err, run
from scripts.torture.places import PostgresPlace, SqlitePlace
from scripts.torture.plan import FULL_SIZE_MINUTES, Fault, in_turn, on_postgres, on_sqlite, scale_of
from scripts.torture.report import Row, table_of
from scripts.torture.server import Server
from scripts.torture.writers import prepare_forks

NOT_OURS = ("DATABASE_URL", "DATABASE_READ_URL")


class Which(StrEnum):
    SQLITE = "sqlite"
    POSTGRES = "postgres"
    BOTH = "both"


def command(
    minutes: Annotated[
        float, typer.Option(min=0.1, help="How long, shared by the faults; never less than their least rounds.")
    ] = FULL_SIZE_MINUTES,
    db: Annotated[Which, typer.Option(help="On which database.")] = Which.BOTH,
    only: Annotated[
        str | None, typer.Option(metavar="WORD", help="Only the faults with this word.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Break the store on purpose while writers write, and look for what it had acknowledged.

    In databases of its own: writers, sessions and servers are killed, connections cut at COMMIT, calls cancelled, the
    storage filled. Ends with 1 if a promise is not kept, or if a fault met no work or too little was acknowledged to
    say so. docs/guarantees.md tells what is promised.
    """
    for name in NOT_OURS:
        os.environ.pop(name, None)
    prepare_forks()
    rows = run(torture(minutes, db, only or ""))
    emit(rows if as_json else table_of(rows), as_json=as_json)
    if not rows or any(row.passes is False for row in rows):
        raise typer.Exit(CHECK_FAILED)


async def torture(minutes: float, which: Which, only: str) -> list[Row]:
    scale = scale_of(minutes)
    with ExitStack() as stack:
        # What is slow or done again here is no news.
        logging.disable(logging.WARNING)
        stack.callback(logging.disable, logging.NOTSET)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True)))
        faults: list[Fault] = []
        if which is not Which.POSTGRES:
            sqlite = SqlitePlace(_made(folder / "sqlite"))
            await sqlite.prepare()
            faults += on_sqlite(sqlite, folder / "sqlite", scale)
        if which is not Which.SQLITE:
            postgres = PostgresPlace(await asyncio.to_thread(stack.enter_context, Server()))
            await postgres.prepare()
            faults += on_postgres(postgres, _made(folder / "postgres"), scale)
        faults = [fault for fault in faults if only in fault.name]
        rows: dict[int, Row] = {}
        async for place, row in in_turn(faults, minutes * 60):
            rows[place] = row
            _tell(row)
    return [rows[place] for place in sorted(rows)]


def _tell(row: Row) -> None:
    if err.is_terminal:
        words = {True: "kept", False: "NOT KEPT", None: "not run"}[row.passes]
        err.print(f"{row.fault} ({row.database}): {row.acknowledged} acknowledged, {row.lost} lost, {words}")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
