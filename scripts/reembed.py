"""The `reembed` command: vectors of another model beside those that are there, and the change to them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from database import Database
from database.errors import NotFoundError, StoreError
from models import EmbeddingSpace, SpaceStatus
from repositories import Embedder, UnitOfWork, reembed
from scripts.console import AsJson, DatabaseUrl, emit, err, run, say
from scripts.embedder_choice import CHOICES, DEMO, embedder_named
from scripts.tables import number, table


@dataclass(slots=True)
class Moved:
    """What was written now, and what became of the spaces."""

    to: str
    source: str | None
    embedder: str
    dimensions: int
    created: bool
    messages: int = 0
    memories: int = 0
    embeddings: int = 0
    activated: bool = False
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    to: str
    embedder: str
    source: str | None
    every: bool
    dimensions: int | None
    activate: bool
    drop_old: bool


def command(
    to: Annotated[str, typer.Option("--to", metavar="SPACE", help="The space to fill; made if it is new.")],
    embedder: Annotated[str | None, typer.Option(metavar=CHOICES, help="Whose vectors; the demo's if none.")] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="SPACE", help="Whose texts; default: the active space's.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every message and memory, with a vector or without.")] = False,
    dimensions: Annotated[int | None, typer.Option(min=1, help="How wide a new space is.")] = None,
    activate: Annotated[bool, typer.Option("--activate", help="Search goes to SPACE once it is filled.")] = False,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Delete the space --from at the end, with its vectors and index.")
    ] = False,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Give texts a vector in another embedding space, by another model, while both spaces are searched.

    Run it again after a stop: what has its vector is passed over. Each batch of 500 is stored by itself.
    """
    if source is not None and every:
        raise typer.BadParameter("--from names whose texts, --all takes every one", param_hint="--all")
    if drop_old and every:
        raise typer.BadParameter("with --all there is no old space", param_hint="--drop-old")
    if embedder is None and (activate or drop_old):
        raise typer.BadParameter("name it, where search is to depend on it", param_hint="--embedder")
    wanted = Wanted(to, embedder or DEMO, source, every, dimensions, activate, drop_old)
    moved = run(_reembed(database_url, wanted))
    emit(_as_json(moved) if as_json else _as_table(moved), as_json=as_json)


async def _reembed(database_url: str | None, wanted: Wanted) -> Moved:
    async with Database(database_url) as database:
        old = await _source(database, wanted)
        embedder, target, created = await _target(database, wanted)
        if old is not None and old.id == target.id:
            raise typer.BadParameter("is the space --to itself", param_hint="--from")
        if wanted.drop_old and not wanted.activate and target.status is not SpaceStatus.ACTIVE:
            raise typer.BadParameter("is for an active space: give --activate too", param_hint="--drop-old")
        moved = Moved(target.name, None if old is None else old.name, embedder.name, target.dimensions, created)
        await _fill(database, embedder, target, old, moved)
        if wanted.activate:
            async with UnitOfWork(database) as uow:
                await uow.embedding_spaces.activate(target.id)
            moved.activated = True
            # What came between the last look and the change.
            await _fill(database, embedder, target, old, moved)
        if wanted.drop_old and old is not None:
            async with UnitOfWork(database) as uow:
                moved.dropped = await uow.embedding_spaces.delete(old.id)
    return moved


async def _source(database: Database, wanted: Wanted) -> EmbeddingSpace | None:
    """The space whose texts are meant; None: every text."""
    if wanted.every:
        return None
    async with UnitOfWork(database) as uow:
        if wanted.source is not None:
            return await uow.embedding_spaces.get_by_name(wanted.source)
        active = await uow.embedding_spaces.active()
    if active is None or active.name == wanted.to:
        raise typer.BadParameter("no other space is active: name one, or give --all", param_hint="--from")
    return active


async def _target(database: Database, wanted: Wanted) -> tuple[Embedder, EmbeddingSpace, bool]:
    """The embedder, its space, and whether that was made now. A model is loaded while no unit is open."""
    async with UnitOfWork(database) as uow:
        space = await _named(uow, wanted.to)
    if space is None:
        embedder = embedder_named(wanted.embedder, wanted.dimensions)
        width = wanted.dimensions or embedder.dimensions
    else:
        embedder = embedder_named(wanted.embedder, space.dimensions)
        width = space.dimensions
    if embedder.dimensions != width or wanted.dimensions not in (None, width):
        raise typer.BadParameter(f"the space has {width}, the model {embedder.dimensions}", param_hint="--dimensions")
    if space is not None:
        return embedder, space, False
    async with UnitOfWork(database) as uow:
        return embedder, await uow.embedding_spaces.create(name=wanted.to, dimensions=width), True


async def _named(uow: UnitOfWork, name: str) -> EmbeddingSpace | None:
    try:
        return await uow.embedding_spaces.get_by_name(name)
    except NotFoundError:
        return None


async def _fill(
    database: Database, embedder: Embedder, target: EmbeddingSpace, old: EmbeddingSpace | None, moved: Moved
) -> None:
    written: dict[str, int] = {}
    with _bars() as shown:

        def progress(name: str, done: int, total: int) -> None:
            written[name] = done
            shown(name, done, total)

        try:
            done = await reembed(database, embedder, target, source=old, progress=progress)
        except StoreError:
            say(f"stopped; vectors stored before it: {sum(written.values())}; run it again to go on")
            raise
    moved.messages += done.messages
    moved.memories += done.memories
    moved.embeddings += done.embeddings


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each table on a terminal, and nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=err, disable=not err.is_terminal) as bars:

        def move(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield move


def _as_json(moved: Moved) -> dict[str, object]:
    """`from` is no name for a field."""
    return {"from" if key == "source" else key: value for key, value in asdict(moved).items()}


def _as_table(moved: Moved) -> Table:
    title = f"Vectors of {moved.embedder} in the space {moved.to}"
    shown = table(*map(number, ("messages", "memories", "embeddings")), "from", "space", title=escape(title))
    became = [word for word, so in (("made", moved.created), ("active", moved.activated)) if so]
    if moved.dropped:
        became.append("old one dropped")
    counts = map(str, (moved.messages, moved.memories, moved.embeddings))
    shown.add_row(*counts, escape(moved.source or "every text"), ", ".join(became) or "-")
    return shown
