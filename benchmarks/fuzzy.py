"""`python -m benchmarks.fuzzy FOLDER`: how long a fuzzy search takes, and what its index costs an append."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated
from uuid import UUID

import typer
from rich.table import Table

from benchmarks.conversations import Talk, read, store
from benchmarks.recall import PLACES, Databases
from database import Database
from repositories import MessageRepository, UnitOfWork, build_fuzzy_index
from scripts.console import AsJson, emit, run

QUESTIONS = 200
APPENDS = 300


@dataclass(frozen=True, slots=True)
class Result:
    """Medians in milliseconds; `found`: the share of words with a typo whose message is among the ten hits."""

    database: str
    messages: int
    in_all_ms: float
    in_conversation_ms: float
    found: float
    append_ms: float
    append_with_index_ms: float


def command(
    folder: Annotated[Path, typer.Argument(help="Conversations as NAME.jsonl and NAME.npz.", exists=True)],
    db: Annotated[Databases, typer.Option(help="Where to measure.")] = Databases.BOTH,
    as_json: AsJson = False,
) -> None:
    """Store the conversations of a folder and ask for rare words of them, each with one letter left out."""
    talks = list(read(folder))
    results = []
    for name, place in PLACES.items():
        if db in (name, Databases.BOTH):
            with place() as url:
                results.append(run(measure(name, url, talks)))
    emit(results if as_json else _as_table(results), as_json=as_json)


async def measure(name: str, url: str, talks: Sequence[Talk]) -> Result:
    async with Database(url) as database:
        await database.migrate()
        async with UnitOfWork(database) as uow:
            ids = [await store(uow, talk, []) for talk in talks]
        before = await _append(database, talks)
        await build_fuzzy_index(database)
        after = await _append(database, talks)
        questions = _questions(talks, ids)
        everywhere, inside, found = [], [], 0
        async with database.session() as session:
            messages = MessageRepository(session)
            for word, message, talk in questions:
                start = time.perf_counter()
                await messages.similar(word)
                everywhere.append(time.perf_counter() - start)
                start = time.perf_counter()
                hits = await messages.similar(word, conversation_id=talk)
                inside.append(time.perf_counter() - start)
                found += message in {hit.row.id for hit in hits}
        total = sum(len(talk.messages) for talk in talks)
        in_all, in_one = median(everywhere) * 1_000, median(inside) * 1_000
        return Result(name, total, in_all, in_one, found / len(questions), before, after)


def _questions(talks: Sequence[Talk], ids: Sequence[UUID]) -> list[tuple[str, UUID, UUID]]:
    """Words of six letters or more that one message of their conversation has, the same ones each time."""
    dice = random.Random(1)
    questions: list[tuple[str, UUID, UUID]] = []
    for talk, id in zip(talks, ids, strict=True):
        where: dict[str, set[UUID]] = {}
        for message in talk.messages:
            for word in message["content"].lower().split():
                if word.isalpha() and len(word) >= 6:
                    where.setdefault(word, set()).add(message["id"])
        for word in sorted(word for word, messages in where.items() if len(messages) == 1):
            place = dice.randrange(1, len(word))
            [message_id] = where[word]
            questions.append((word[:place] + word[place + 1 :], message_id, id))
    return dice.sample(questions, min(QUESTIONS, len(questions)))


async def _append(database: Database, talks: Sequence[Talk]) -> float:
    texts = [message["content"] for talk in talks for message in talk.messages][:APPENDS]
    times = []
    async with UnitOfWork(database) as uow:
        other = await uow.conversations.create(title="appended")
        for text in texts:
            start = time.perf_counter()
            await uow.messages.append(other.id, role="user", content=text)
            times.append(time.perf_counter() - start)
        await uow.conversations.delete(other.id)
    return median(times) * 1_000


def _as_table(results: Sequence[Result]) -> Table:
    names = ("messages", "in all (ms)", "in one talk (ms)", "found", "append (ms)", "with the index (ms)")
    shown = Table("database", *names)
    for result in results:
        numbers = (result.in_all_ms, result.in_conversation_ms, result.found)
        costs = (result.append_ms, result.append_with_index_ms)
        shown.add_row(
            result.database, str(result.messages), *(f"{n:.2f}" for n in numbers), *(f"{n:.2f}" for n in costs)
        )
    return shown


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app(prog_name="python -m benchmarks.fuzzy")
