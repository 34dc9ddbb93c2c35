"""The `index` command: the approximate index of an embedding space, built beside the traffic."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from database import Database
from repositories import EmbeddingSpaceRepository
from repositories.search import IndexState, TableIndex, build_indexes
from scripts.console import AsJson, DatabaseUrl, emit, err, run, say
from scripts.tables import table

WORDS = {
    IndexState.NOT_NEEDED: "Search is exact on this database; there is nothing to build.",
    IndexState.TOO_WIDE: "The space is too wide for an index; search stays exact.",
}


@dataclass(frozen=True, slots=True)
class Indexed:
    space: str
    indexes: Sequence[TableIndex]


def command(
    space: Annotated[str, typer.Argument(metavar="SPACE", help="The name of an embedding space.")],
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Build the vector index of an embedding space, for each table with vectors; until then search is exact.

    Reading and writing go on meanwhile. Run it again after a stop: what is ready is passed over, what was left
    unfinished is built anew. A space of up to 4000 dimensions can have one, on PostgreSQL.
    """
    indexed = run(_index(database_url, space))
    for state in {index.state for index in indexed.indexes} & WORDS.keys():
        say(WORDS[state])
    emit(indexed if as_json else _as_table(indexed), as_json=as_json)


async def _index(database_url: str | None, name: str) -> Indexed:
    async with Database(database_url) as database:
        async with database.session() as session:
            space = await EmbeddingSpaceRepository(session).get_by_name(name)
        with _bars() as moved:
            return Indexed(space.name, await build_indexes(database, space, moved))


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
    shown = table("table", "index", "state", title=f"Indexes of the space {indexed.space}")
    for index in indexed.indexes:
        shown.add_row(index.table, index.name or "-", index.state.value)
    return shown
