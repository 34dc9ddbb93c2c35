"""The `index` command: the approximate index of an embedding space, or that of fuzzy search."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from database import Database
from repositories import EmbeddingSpaceRepository, build_fuzzy_index, drop_fuzzy_index
from repositories.search import IndexState, TableIndex, build_indexes
from scripts.console import AsJson, DatabaseUrl, emit, err, run, say
from scripts.tables import table

WORDS = {
    IndexState.NOT_NEEDED: "Search is exact on this database; there is nothing to build.",
    IndexState.TOO_WIDE: "The space is too wide for an index; search stays exact.",
}


@dataclass(frozen=True, slots=True)
class Indexed:
    """`space`: None where it is the fuzzy index."""

    space: str | None
    indexes: Sequence[TableIndex]


def command(
    space: Annotated[str | None, typer.Argument(metavar="SPACE", help="The name of an embedding space.")] = None,
    fuzzy: Annotated[bool, typer.Option("--fuzzy", help="The trigrams of names, titles and messages instead.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="With --fuzzy: take that index away.")] = False,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Build the vector index of an embedding space, for each table with vectors; until then search is exact.

    Reading and writing go on meanwhile. Run it again after a stop: what is ready is passed over, what was left
    unfinished is built anew. A space of up to 4000 dimensions can have one, on PostgreSQL.

    With --fuzzy and no space: the index by which names, titles and messages are found in spite of typos, on both
    databases. Every write keeps it, and pays for it, until --fuzzy --drop.
    """
    if (space is None) != fuzzy or (drop and not fuzzy):
        raise typer.BadParameter("name a SPACE, or --fuzzy, which --drop goes with")
    indexed = run(_index(database_url, space) if space is not None else _index_fuzzy(database_url, drop))
    for state in {index.state for index in indexed.indexes} & WORDS.keys():
        say(WORDS[state])
    emit(indexed if as_json else _as_table(indexed), as_json=as_json)


async def _index(database_url: str | None, name: str) -> Indexed:
    async with Database(database_url) as database:
        async with database.session() as session:
            space = await EmbeddingSpaceRepository(session).get_by_name(name)
        with _bars() as moved:
            return Indexed(space.name, await build_indexes(database, space, moved))


async def _index_fuzzy(database_url: str | None, drop: bool) -> Indexed:
    async with Database(database_url) as database:
        if drop:
            await drop_fuzzy_index(database)
            return Indexed(None, ())
        return Indexed(None, await build_fuzzy_index(database))


def _bars() -> AbstractContextManager[Callable[[str, float], None] | None]:
    """A bar for each table on a terminal, and nothing elsewhere."""
    return _Bars() if err.is_terminal else nullcontext()


class _Bars(AbstractContextManager[Callable[[str, float], None]]):
    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=err)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Callable[[str, float], None]:
        self._progress.start()
        return self._move

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _move(self, name: str, part: float) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=1.0)
        self._progress.update(self._tasks[name], completed=part)


def _as_table(indexed: Indexed) -> Table:
    shown = table("table", "index", "state", title=f"Indexes of {indexed.space or 'fuzzy search'}")
    for index in indexed.indexes:
        shown.add_row(index.table, index.name or "-", index.state.value)
    return shown
