"""`python -m benchmarks.recall FOLDER`: how well `messages.search` finds the messages that answer a question."""

import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Annotated
from uuid import UUID

import numpy as np
import typer
from rich.progress import track
from rich.table import Table

from benchmarks.conversations import Question, Talk, Vector, read, store
from benchmarks.measures import CUTS, Answer, Quality, quality
from database import Database
from models import EmbeddingSpace
from repositories import MessageRepository, UnitOfWork
from repositories.search import Mode
from scripts.console import AsJson, emit, err, run
from scripts.postgres import EmbeddedPostgres


class Databases(StrEnum):
    SQLITE = "sqlite"
    POSTGRES = "postgres"
    BOTH = "both"


class ModeName(StrEnum):
    AUTO = "auto"
    EXACT = "exact"
    APPROXIMATE = "approximate"


Ask = Callable[[MessageRepository, Question, UUID, EmbeddingSpace, Mode], Awaitable[Sequence[UUID]]]


async def by_vector(
    messages: MessageRepository, question: Question, talk: UUID, space: EmbeddingSpace, mode: Mode
) -> list[UUID]:
    found = await messages.search(vector=question.vector, space=space, conversation_id=talk, limit=max(CUTS), mode=mode)
    return [hit.message.id for hit in found]


async def by_text(
    messages: MessageRepository, question: Question, talk: UUID, space: EmbeddingSpace, mode: Mode
) -> list[UUID]:
    found = await messages.search(question.text, conversation_id=talk, limit=max(CUTS), mode=mode)
    return [hit.message.id for hit in found]


async def by_both(
    messages: MessageRepository, question: Question, talk: UUID, space: EmbeddingSpace, mode: Mode
) -> list[UUID]:
    found = await messages.search(
        question.text, vector=question.nameless, space=space, conversation_id=talk, limit=max(CUTS), mode=mode
    )
    return [hit.message.id for hit in found]


WAYS: dict[str, Ask] = {"vector only": by_vector, "text only": by_text, "default": by_both}
HEADLINE = "1 to 4"


@dataclass(frozen=True, slots=True)
class Result:
    """`numpy_agrees`: questions whose ten nearest are those of an exact computation; None where no vector ranks."""

    database: str
    way: str
    median_ms: float
    numpy_agrees: int | None
    categories: dict[str, Quality]


def command(
    folder: Annotated[Path, typer.Argument(help="Conversations as NAME.jsonl and NAME.npz.", exists=True)],
    db: Annotated[Databases, typer.Option(help="Where to measure.")] = Databases.BOTH,
    mode: Annotated[ModeName, typer.Option(help="Compare all of a scope, or its candidates.")] = ModeName.AUTO,
    as_json: AsJson = False,
) -> None:
    """Store the conversations of a folder, ask all their questions, and say how much of the evidence is found.

    Each question is asked in its own conversation, by vector, by text, and by both with the default ranking. Recall is
    the share of a question's evidence among the first 5, 10 and 20.
    """
    talks = list(read(folder))
    results: list[Result] = []
    for name, place in PLACES.items():
        if db in (name, Databases.BOTH):
            with place() as url:
                results += run(measure(name, url, talks, mode.value))
    emit(results if as_json else _as_table(results), as_json=as_json)


async def measure(name: str, url: str, talks: Sequence[Talk], mode: Mode = "auto") -> list[Result]:
    async with Database(url) as database:
        await database.migrate()
        async with UnitOfWork(database) as uow:
            width = next(iter(talks[0].vectors.values())).size
            space = await uow.embedding_spaces.create(name="measured", dimensions=width)
            # Vectors of another space and width stand in the same table: they must not be seen.
            other = await uow.embedding_spaces.create(name="other", dimensions=8)
        ids = []
        for talk in track(talks, f"{name}: storing", console=err, disable=not err.is_terminal, transient=True):
            async with UnitOfWork(database) as uow:
                other_vectors = {id: vector[:8] for id, vector in talk.vectors.items()}
                ids.append(await store(uow, talk, [(space, talk.vectors), (other, other_vectors)]))
        return [await _ask_all(database, name, way, talks, ids, space, mode) for way in WAYS]


async def _ask_all(
    database: Database,
    name: str,
    way: str,
    talks: Sequence[Talk],
    ids: Sequence[UUID],
    space: EmbeddingSpace,
    mode: Mode,
) -> Result:
    answers: list[tuple[int, Answer[UUID]]] = []
    times: list[float] = []
    agreed = 0
    pairs = [(talk, id, question) for talk, id in zip(talks, ids, strict=True) for question in talk.questions]
    async with database.session() as session:
        messages = MessageRepository(session)
        for talk, id, question in track(
            pairs, f"{name}: {way}", console=err, disable=not err.is_terminal, transient=True
        ):
            start = time.perf_counter()
            found = await WAYS[way](messages, question, id, space, mode)
            times.append(time.perf_counter() - start)
            agreed += set(found[:10]) == set(_nearest(talk, question.vector))
            if question.evidence:
                answers.append((question.category, Answer(found, question.evidence)))
    categories = {HEADLINE: quality([answer for category, answer in answers if category < 5])}
    for category in sorted({category for category, _ in answers}):
        categories[str(category)] = quality([answer for theirs, answer in answers if theirs == category])
    return Result(name, way, median(times) * 1_000, agreed if way == "vector only" else None, categories)


def _nearest(talk: Talk, query: Vector) -> list[UUID]:
    rows = np.array(list(talk.vectors.values()), dtype=np.float64)
    scores = rows @ query.astype(np.float64) / np.linalg.norm(rows, axis=1)
    ids = list(talk.vectors)
    return [ids[place] for place in np.argsort(-scores)[:10]]


OPTIONS = {"shared_buffers": "1GB", "maintenance_work_mem": "1GB"}
"""Of the server: room for the rows and for the graph of an index while it is built."""


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/recall.db"


@contextmanager
def _postgres() -> Iterator[str]:
    with EmbeddedPostgres(options=OPTIONS) as server:
        yield server.url()


PLACES = {Databases.SQLITE: _sqlite, Databases.POSTGRES: _postgres}


def _as_table(results: Sequence[Result]) -> Table:
    shown = Table("database", "search", "category", "questions", *(f"R@{cut}" for cut in CUTS), "MRR", "nDCG@10", "ms")
    for result in results:
        for category, found in result.categories.items():
            first = category == HEADLINE
            numbers = (f"{number:.3f}" for number in (*found.recall, found.mrr, found.ndcg))
            shown.add_row(
                result.database if first else "",
                result.way if first else "",
                category,
                str(found.questions),
                *numbers,
                f"{result.median_ms:.1f}" if first else "",
                style="bold" if first else "",
            )
        if result.numpy_agrees is not None:
            total = sum(found.questions for name, found in result.categories.items() if name != HEADLINE)
            shown.add_row("", "", f"as numpy: {result.numpy_agrees} of {total}", style="dim")
        shown.add_section()
    return shown


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app(prog_name="python -m benchmarks.recall")
