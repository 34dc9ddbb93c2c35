"""`python -m benchmarks.approximate FOLDER`: what a search through an index misses, and what it saves."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, TypedDict
from uuid import UUID

import numpy as np
import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from benchmarks.conversations import Talk, Vector, read
from benchmarks.multiplied import QUESTIONS, Multiplied, fill, multiply, owner_of
from benchmarks.recall import PLACES, Databases
from database import Database, Session, Settings
from models import EmbeddingSpace
from repositories import MemoryRepository, MessageRepository, RecalledMemory
from repositories.message_search import FoundMessage
from repositories.search import Mode, SearchResult, build_indexes
from scripts.console import AsJson, emit, err, run

LIMIT = 10

Hit = RecalledMemory | FoundMessage
Found = SearchResult[RecalledMemory] | SearchResult[FoundMessage]


@dataclass(frozen=True, slots=True)
class Result:
    """`recall`: the share of the exact ten that the default finds; `approximate`: of its answers, by an index."""

    database: str
    search: str
    scope: str
    asked: str
    recall: float
    approximate: float
    median_ms: float
    exact_ms: float


class Filters(TypedDict):
    persona_id: UUID | None
    conversation_id: UUID | None


@dataclass(frozen=True, slots=True)
class Scope:
    """`far`: the talk whose questions are not about it."""

    name: str
    far: int
    owner_id: str | None = None
    persona_id: UUID | None = None
    conversation_id: UUID | None = None

    @property
    def filters(self) -> Filters:
        """But for the owner, who is the session's."""
        return Filters(persona_id=self.persona_id, conversation_id=self.conversation_id)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """`like_a_row`: a vector made of a message's; `vector`: of the text."""

    text: str
    like_a_row: Vector
    vector: Vector


@dataclass(frozen=True, slots=True)
class Compared:
    recall: float
    approximate: bool
    seconds: float
    exact_seconds: float


Ask = Callable[[Session, Question, Scope, EmbeddingSpace, Mode], Awaitable[Found]]


async def by_vector(session: Session, question: Question, scope: Scope, space: EmbeddingSpace, mode: Mode) -> Found:
    memories = MemoryRepository(session)
    return await memories.recall(question.like_a_row, space=space, limit=LIMIT, mode=mode, **scope.filters)


async def by_both(session: Session, question: Question, scope: Scope, space: EmbeddingSpace, mode: Mode) -> Found:
    memories, text = MemoryRepository(session), question.text
    return await memories.recall(question.vector, text=text, space=space, limit=LIMIT, mode=mode, **scope.filters)


async def messages_by_vector(
    session: Session, question: Question, scope: Scope, space: EmbeddingSpace, mode: Mode
) -> Found:
    messages, vector = MessageRepository(session), question.like_a_row
    return await messages.search(vector=vector, space=space, limit=LIMIT, mode=mode, **scope.filters)


async def messages_by_both(
    session: Session, question: Question, scope: Scope, space: EmbeddingSpace, mode: Mode
) -> Found:
    messages, vector = MessageRepository(session), question.vector
    return await messages.search(question.text, vector=vector, space=space, limit=LIMIT, mode=mode, **scope.filters)


SEARCHES: dict[str, Ask] = {
    "memories by vector": by_vector,
    "messages by vector": messages_by_vector,
    "memories by both": by_both,
    "messages by both": messages_by_both,
}


def command(
    folder: Annotated[
        Path, typer.Argument(help="Conversations as NAME.jsonl and NAME.npz, three at least.", exists=True)
    ],
    db: Annotated[Databases, typer.Option(help="Where to measure.")] = Databases.BOTH,
    rows: Annotated[int, typer.Option(min=100, help="Memories to make, and as many messages.")] = 100_000,
    questions: Annotated[int, typer.Option(min=1, help="Of each kind, in each scope.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Multiply the conversations of a folder, index them, and compare the default search with the exact one.

    The last conversation is not stored: its messages ask what is far from everything. Asked are everything, a persona
    (all copies of one conversation), an owner and a conversation (one copy), near the scope and far from it; memories
    and messages, by vector, and by words and vector.
    """
    talks = list(read(folder))
    if len(talks) < 3:
        raise typer.BadParameter(f"has {len(talks)} conversations, and three are needed", param_hint="FOLDER")
    results: list[Result] = []
    with Progress(console=err, disable=not err.is_terminal, transient=True) as progress:
        for name, place in PLACES.items():
            if db in (name, Databases.BOTH):
                with place() as url:
                    results += run(measure(name, url, talks, rows, progress, questions))
    emit(results if as_json else _as_table(results), as_json=as_json)


async def measure(
    name: str, url: str, talks: Sequence[Talk], rows: int, progress: Progress, asked: int
) -> list[Result]:
    # The exact answer of a store this large takes longer than a caller would wait.
    settings = Settings.model_validate({"database_url": url, "statement_timeout_ms": 0, "slow_query_ms": 600_000})
    async with Database(settings) as database:
        await database.migrate()
        stored = await fill(database, talks[:-1], rows, progress)
        await _build(database, stored, progress)
        return await ask_all(name, database, stored, talks, progress, asked)


async def _build(database: Database, stored: Multiplied, progress: Progress) -> None:
    tasks: dict[str, TaskID] = {}

    def show(table: str, part: float) -> None:
        if table not in tasks:
            tasks[table] = progress.add_task(f"index of {table}", total=1)
        progress.update(tasks[table], completed=part)

    await build_indexes(database, stored.space, show)


async def ask_all(
    name: str, database: Database, stored: Multiplied, talks: Sequence[Talk], progress: Progress, asked: int
) -> list[Result]:
    """`talks`: those that are stored, and the one that is not."""
    here, there, outside = 0, 1, len(talks) - 1
    scopes = [
        Scope("everything", outside),
        Scope("persona", there, persona_id=stored.personas[here]),
        Scope("owner", there, owner_id=owner_of(talks[here], 0)),
        Scope("conversation", there, conversation_id=stored.conversations[here]),
    ]
    questions = {place: _questions(talks[place], asked) for place in {here, there, outside}}
    task = progress.add_task("asking", total=len(SEARCHES) * len(scopes) * 2)
    results: list[Result] = []
    for search, ask in SEARCHES.items():
        for scope in scopes:
            for distance, place in (("near", here), ("far", scope.far)):
                async with database.session(owner_id=scope.owner_id) as session:
                    answers = [await _compare(ask, session, q, scope, stored.space) for q in questions[place]]
                results.append(_result(name, search, scope.name, distance, answers))
                progress.advance(task)
    return results


def _questions(talk: Talk, count: int) -> list[Question]:
    """Of messages of the talk for vectors alone, and of questions about it for words and vectors."""
    random = np.random.default_rng(count)
    rows = multiply(np.vstack(list(talk.vectors.values())), count, QUESTIONS, random)[1]
    known = np.vstack([question.nameless for question in talk.questions])
    chosen, asked = multiply(known, count, QUESTIONS, random)
    return [Question(talk.questions[n].text, row, vector) for n, row, vector in zip(chosen, rows, asked, strict=True)]


async def _compare(ask: Ask, session: Session, question: Question, scope: Scope, space: EmbeddingSpace) -> Compared:
    start = time.perf_counter()
    found = await ask(session, question, scope, space, "auto")
    between = time.perf_counter()
    wanted = await ask(session, question, scope, space, "exact")
    end = time.perf_counter()
    if not wanted.hits:
        return Compared(1.0, not found.exact, between - start, end - between)
    share = len({_id(hit) for hit in found} & {_id(hit) for hit in wanted}) / len(wanted)
    return Compared(share, not found.exact, between - start, end - between)


def _id(hit: Hit) -> UUID:
    return hit.message.id if isinstance(hit, FoundMessage) else hit.id


def _result(name: str, search: str, scope: str, asked: str, answers: Sequence[Compared]) -> Result:
    return Result(
        name,
        search,
        scope,
        asked,
        fmean(answer.recall for answer in answers),
        fmean(answer.approximate for answer in answers),
        median(answer.seconds for answer in answers) * 1_000,
        median(answer.exact_seconds for answer in answers) * 1_000,
    )


def _as_table(results: Sequence[Result]) -> Table:
    shown = Table("database", "search", "scope", "asked", f"recall@{LIMIT}", "approximate", "ms", "exact ms")
    for result in results:
        shown.add_row(
            result.database,
            result.search,
            result.scope,
            result.asked,
            f"{result.recall:.3f}",
            f"{result.approximate:.2f}",
            f"{result.median_ms:.1f}",
            f"{result.exact_ms:.1f}",
        )
    return shown


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app(prog_name="python -m benchmarks.approximate")
