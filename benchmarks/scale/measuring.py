"""What each call takes while so many rows are there, and how large they and their indexes are."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from statistics import fmean
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks.bench import TEXT
from benchmarks.conversations import Vector
from benchmarks.layers.repositories import Repositories
from benchmarks.layers.work import NEAREST
from benchmarks.rounds import timed
from benchmarks.scale.filling import EACH, LARGE, Filled
from repositories import MemoryRepository, UnitOfWork

DELETED = 10_000
"""Messages of each conversation that is deleted: of those that were stored first and lie deep in the tables."""

DELETIONS = 5
WARM_UP = 5
NOBODY = 10**9

ENDS = "SELECT id FROM conversations WHERE title = :title AND message_count >= :least ORDER BY id LIMIT :most"

SIZES = """
SELECT c.relname AS name, pg_relation_size(c.oid) AS bytes FROM pg_class AS c
WHERE c.relkind IN ('r', 'i') AND c.relnamespace = 'public'::regnamespace ORDER BY bytes DESC
"""
SMALL = 1 << 20
"""Bytes of what is not worth a line."""


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds."""

    p50: float
    p95: float
    worst: float
    times: int


@dataclass(frozen=True, slots=True)
class Step:
    """What was found when so many rows were there. `index_seconds`: the approximate index, built anew for them."""

    messages: int
    memories: int
    seconds: Mapping[str, float]
    took: Mapping[str, Took]
    recall: Mapping[str, float] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)


async def measure(filled: Filled, operations: int, seconds: Mapping[str, float]) -> Step:
    ours = Repositories(filled.database, filled.space)
    messages, memories = await filled.messages(), await filled.memories()
    took: dict[str, Took] = {}
    # Any of them, so that most are read from far apart.
    some = await _talks(filled, "ordinary", 1, 1_000_000)
    random = np.random.default_rng(1)
    talks = [some[place] for place in random.integers(len(some), size=operations)]
    [large] = await _talks(filled, LARGE, 1, 1)
    # What the machine itself has to do with a difference.
    took["SELECT 1"] = await _each(lambda _: filled.database.fetch_value("SELECT 1"), talks)
    took["append"] = await _each(lambda talk: ours.append(talk, TEXT), talks)
    took["append to the large one"] = await _each(lambda talk: ours.append(talk, TEXT), [large] * operations)
    took["last 50"] = await _each(ours.last, talks)
    took["last 50 of the large one"] = await _each(ours.last, [large] * operations)
    shares = {}
    few = max(1, operations // 5)
    for scope in ("persona", "all"):
        asked = await _questions(filled, few, everything=scope == "all")
        found: list[float] = []
        took[f"recall, {scope}"] = await _each(partial(_recall, filled, found), asked)
        shares[f"recall@{NEAREST}, {scope}"] = fmean(found[WARM_UP:])
    # Near to nothing that is asked for.
    took["remember"] = await _each(partial(_remember, filled), filled.vectors(NOBODY)[:few])
    if deep := await _talks(filled, "ordinary", DELETED, DELETIONS):
        took["delete"] = await _each(ours.delete, deep, warm_up=0)
    rows = await filled.database.fetch_all(SIZES)
    sizes = {str(row["name"]): int(str(row["bytes"])) for row in rows if int(str(row["bytes"])) >= SMALL}
    return Step(messages, memories, seconds, took, shares, sizes)


async def _talks(filled: Filled, title: str, least: int, most: int) -> list[UUID]:
    values = {"title": title, "least": least, "most": most}
    return [UUID(str(row["id"])) for row in await filled.database.fetch_all(ENDS, values)]


async def _each(
    operation: Callable[[Any], Awaitable[object]], given: Sequence[Any] | Vector, warm_up: int = WARM_UP
) -> Took:
    """One after the other; the first ones, which warm up, are not counted."""
    values = cycle(given)
    for _ in range(warm_up):
        await operation(next(values))
    times = [await timed(partial(operation, next(values))) * 1_000 for _ in given]
    p50, p95 = np.percentile(times, (50, 95))
    return Took(float(p50), float(p95), max(times), len(times))


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """`best`: the right answer, computed: persona's numbers and how their memories begin."""

    vector: Vector
    persona: UUID | None
    best: frozenset[tuple[UUID, int]]


async def _questions(filled: Filled, count: int, *, everything: bool) -> list[Question]:
    personas = await filled.personas()
    random = np.random.default_rng(len(personas))
    about = random.choice(list(personas), size=count)
    asked = np.vstack([filled.question(int(number), random) for number in about])
    scores, places = np.full((count, 0), 0.0), np.full((count, 0), 0)
    for number in personas if everything else sorted(set(about.tolist())):
        here = asked @ filled.vectors(number).T
        if not everything:
            here[about != number] = -2
        nearest = np.argpartition(-here, NEAREST - 1, axis=1)[:, :NEAREST]
        scores = np.hstack([scores, np.take_along_axis(here, nearest, 1)])
        places = np.hstack([places, nearest + number * EACH])
        kept = np.argpartition(-scores, NEAREST - 1, axis=1)[:, :NEAREST]
        scores, places = np.take_along_axis(scores, kept, 1), np.take_along_axis(places, kept, 1)
    return [
        Question(
            vector,
            None if everything else personas[int(number)],
            frozenset((personas[place // EACH], place % EACH) for place in row.tolist()),
        )
        for vector, number, row in zip(asked, about, places, strict=True)
    ]


async def _recall(filled: Filled, shares: list[float], question: Question) -> None:
    async with filled.database.session() as session:
        found = await MemoryRepository(session).recall(
            question.vector, space=filled.space, persona_id=question.persona, limit=NEAREST
        )
    numbers = {(hit.persona_id, int(hit.content.partition(" ")[0])) for hit in found}
    shares.append(len(question.best & numbers) / NEAREST)


async def _remember(filled: Filled, vector: Vector) -> None:
    async with UnitOfWork(filled.database) as uow:
        await uow.memories.remember("0 of nobody", vector=vector, space=filled.space)
