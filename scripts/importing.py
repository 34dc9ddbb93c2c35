"""The `import` command: conversations from files of JSON lines, with a bar that moves by bytes."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from database import Database
from database.errors import InvalidInputError, StoreError
from models import EmbeddingSpace
from scripts.console import AsJson, DatabaseUrl, emit, err, run, say
from scripts.import_format import ConversationReader
from scripts.import_map import FieldMap
from scripts.import_records import ImportedConversation, ImportedMemory
from scripts.import_resume import Row
from scripts.import_vectors import load_vectors
from scripts.importer import Change, Outcome, Vectors, episodes_of, space_named, store
from scripts.tables import number, table


@dataclass(slots=True)
class Imported:
    """What was stored of one file: conversations by what became of them, and rows."""

    file: Path
    new: int = 0
    extended: int = 0
    unchanged: int = 0
    messages: int = 0
    memories: int = 0
    message_vectors: int = 0
    memory_vectors: int = 0
    unused_vectors: int = 0
    unknown_personas: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def add(self, talk: ImportedConversation, outcome: Outcome) -> None:
        match outcome.change:
            case Change.NEW:
                self.new += 1
            case Change.EXTENDED:
                self.extended += 1
            case Change.UNCHANGED:
                self.unchanged += 1
        self.messages += outcome.messages
        self.memories += outcome.memories
        self.message_vectors += outcome.message_vectors
        self.memory_vectors += outcome.memory_vectors
        if not outcome.persona_found and talk.persona is not None and talk.persona not in self.unknown_personas:
            self.unknown_personas.append(talk.persona)


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False, readable=True)],
    mappings: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OURS=THEIRS", help="Another name of a field, or :TEXT for all lines."),
    ] = None,
    vectors: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.npz", help="The messages' vectors; one for each FILE, in order.", exists=True),
    ] = None,
    space: Annotated[
        str | None, typer.Option(metavar="NAME", help="The embedding space of the vectors; default: imported-WIDTH.")
    ] = None,
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="Whose the conversations are.")] = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Store conversations from files of JSON lines; the format is in docs/import-format.md.

    Each conversation is stored whole or not at all. Import a file again after it has grown, or after a stop: what is
    stored is passed over, what is new is appended. With --vectors every message gets its vector and is also
    remembered as an episodic memory.
    """
    mapping = _mapping(mappings or [], owner)
    if vectors and len(vectors) != len(files):
        raise typer.BadParameter("give one --vectors for each FILE, in the same order")
    if space is not None and not vectors:
        raise typer.BadParameter("--space is for --vectors")
    imported = run(_import(database_url, files, vectors or [], mapping, space))
    for one in imported:
        _remark(one)
    emit({"files": imported} if as_json else _as_table(imported), as_json=as_json)


def _mapping(texts: Sequence[str], owner: str | None) -> FieldMap:
    try:
        mapping = FieldMap.parse(texts)
    except InvalidInputError as error:
        raise typer.BadParameter(error.reason, param_hint="--map") from None
    if owner is None:
        return mapping
    if "owner_id" in mapping.sources or "owner_id" in mapping.constants:
        raise typer.BadParameter("--map says already whose they are", param_hint="--owner")
    return replace(mapping, constants={**mapping.constants, "owner_id": owner})


async def _import(
    database_url: str | None, files: Sequence[Path], archives: Sequence[Path], mapping: FieldMap, space: str | None
) -> list[Imported]:
    done: list[Imported] = []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    async with Database(database_url) as database:
        with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
            for place, file in enumerate(files):
                done.append(Imported(file))
                archive = load_vectors(archives[place]) if archives else None
                bar = progress.add_task(escape(file.name), total=file.stat().st_size)
                try:
                    await import_file(database, done[-1], mapping, archive, space, partial(_move, progress, bar))
                except StoreError:
                    stored = sum(one.new + one.extended + one.unchanged for one in done)
                    say(f"stopped in {escape(str(file))}; conversations stored before it: {stored}")
                    raise
    return done


def _move(progress: Progress, bar: TaskID, read: int) -> None:
    progress.update(bar, completed=read)


async def import_file(
    database: Database,
    imported: Imported,
    mapping: FieldMap,
    archive: dict[str, Row] | None,
    space: str | None,
    moved: Callable[[int], None],
) -> None:
    """Store a file's conversations one after the other; `moved` hears how many bytes of it have been read.

    Rows of `archive` are taken out as they are used.
    """
    in_space: EmbeddingSpace | None = None
    if archive is not None:
        width = next((row.size for row in archive.values()), 0)
        if not width:
            raise InvalidInputError("vectors", "the file has no rows")
        in_space = await space_named(database, space or f"imported-{width}", width)
    with imported.file.open("rb") as lines:
        reader = ConversationReader(lines, mapping)
        for talk in reader:
            episodes: tuple[ImportedMemory, ...] = ()
            vectors: Vectors | None = None
            if archive is not None and in_space is not None:
                rows = _taken(archive, talk)
                episodes = episodes_of(talk)
                by_episode = {
                    episode.id: rows[message.id] for episode, message in zip(episodes, talk.messages, strict=True)
                }
                vectors = Vectors(in_space, rows, by_episode)
            imported.add(talk, await store(database, talk, episodes=episodes, vectors=vectors))
            moved(reader.bytes_read)
    moved(reader.bytes_read)
    imported.passed_over = reader.passed_over
    imported.unused_vectors = len(archive or ())


def _taken(archive: dict[str, Row], talk: ImportedConversation) -> dict[UUID, Row]:
    """The rows of a conversation's messages: out of the archive, since the next may use the same ids for others."""
    rows = {}
    for message in talk.messages:
        row = archive.pop(message.source_id, None)
        if row is None:
            raise InvalidInputError(
                "vectors", f"have no row left for a message of the conversation at line {talk.line}"
            )
        rows[message.id] = row
    return rows


def _remark(imported: Imported) -> None:
    """What somebody may want to know, and what is no error."""
    file = escape(str(imported.file))
    for kind, lines in imported.passed_over.items():
        say(f"{file}: lines of type {escape(kind)} passed over: {lines}")
    for name in imported.unknown_personas:
        say(f"{file}: there is no persona {escape(name)}; its conversations keep the name in extra_data")
    if imported.unused_vectors:
        say(f"{file}: vectors of no message in it: {imported.unused_vectors}")


def _as_table(files: Sequence[Imported]) -> Table:
    lines = table(*map(number, ("new", "extended", "unchanged", "messages", "memories", "vectors")), "file")
    for one in files:
        counts = (one.new, one.extended, one.unchanged, one.messages, one.memories)
        vectors = one.message_vectors + one.memory_vectors
        lines.add_row(*map(str, counts), str(vectors), escape(one.file.name))
    return lines
