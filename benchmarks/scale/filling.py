"""A PostgreSQL that fills: conversations of ordinary lengths, one that is very large, and personas with memories."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import cycle
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks.conversations import Vector
from benchmarks.multiplied import QUESTIONS, ROWS, multiply
from benchmarks.remembered import SUBJECTS, word
from database import Database
from models import EmbeddingSpace, utc_now
from repositories import UnitOfWork

LENGTHS = (1_000, 2_000, 3_000, 4_000, 10_000)
"""Of conversations, in messages; beside them one has every tenth message of all."""

LARGE = "large"
PORTION = 5_000
EACH = 1_000
"""Memories of a persona."""

FILLERS = 2
"""Tasks that store at once: the server takes a processor for each, and the client what they leave."""

POOL, VOCABULARY, WORDS = 20_000, 30_000, 15
"""Different texts, and the words that they are made of: the n-th about one nth as often as the first."""

STORED = "SELECT CAST(coalesce(sum(message_count), 0) AS bigint) FROM conversations"

Moved = Callable[[int], None]
"""Told how many rows there are."""


@dataclass(slots=True)
class Filled:
    """Whatever is there already stays, whoever stored it; asked for more, it stores what is missing."""

    database: Database
    space: EmbeddingSpace
    _texts: Sequence[str] = field(default_factory=list)

    async def messages(self) -> int:
        return _whole(await self.database.fetch_value(STORED))

    async def personas(self) -> Mapping[int, UUID]:
        """By their numbers, which their names are."""
        rows = await self.database.fetch_all("SELECT name, id FROM personas ORDER BY name")
        return {int(str(row["name"])): UUID(str(row["id"])) for row in rows}

    async def memories(self) -> int:
        return len(await self.personas()) * EACH

    async def add_messages(self, most: int, deadline: float, moved: Moved) -> int:
        """Up to so many, or until the deadline; returns how many there are."""
        self._texts = self._texts or texts()
        there = await self.messages()
        large = await self._large()
        lengths = self._lengths(most - there)

        async def store() -> None:
            nonlocal there
            for length in lengths:
                if time.monotonic() > deadline:
                    return
                await self._talk(large, length)
                there += abs(length)
                moved(there)

        await asyncio.gather(*(store() for _ in range(FILLERS)))
        return there

    async def add_memories(self, most: int, moved: Moved) -> None:
        """Whole personas, up to so many memories."""
        there = set(await self.personas())
        missing = (number for number in range(most // EACH) if number not in there)

        async def store() -> None:
            for number in missing:
                await self._persona(number)
                there.add(number)
                moved(len(there) * EACH)

        await asyncio.gather(*(store() for _ in range(FILLERS)))

    def vectors(self, number: int) -> Vector:
        """The memories' of a persona, in their order: the same whenever they are asked for."""
        return multiply(self._subjects(number), EACH, ROWS, np.random.default_rng(number))[1]

    def question(self, number: int, random: np.random.Generator) -> Vector:
        """About a persona's own subjects."""
        [vector] = multiply(self._subjects(number), 1, QUESTIONS, random)[1]
        return np.asarray(vector, dtype=np.float32)

    def _subjects(self, number: int) -> Vector:
        """They lie nearer to each other than to another persona's."""
        random = np.random.default_rng([number, 0])
        centre = random.standard_normal((1, self.space.dimensions), dtype=np.float32)
        return centre + random.standard_normal((SUBJECTS, self.space.dimensions), dtype=np.float32)

    async def _large(self) -> UUID:
        found = await self.database.fetch_value("SELECT id FROM conversations WHERE title = :title", {"title": LARGE})
        if found is not None:
            return UUID(str(found))
        async with UnitOfWork(self.database) as uow:
            return (await uow.conversations.create(title=LARGE)).id

    def _lengths(self, missing: int) -> Iterator[int]:
        """Of the next conversations, in order; below zero: so many into the large one."""
        for length in cycle((LENGTHS[0], -sum(LENGTHS) // 9, *LENGTHS[1:])):
            if missing <= 0:
                return
            yield max(length, -missing) if length < 0 else min(length, missing)
            missing -= abs(length)

    async def _talk(self, large: UUID, length: int) -> None:
        async with UnitOfWork(self.database) as uow:
            talk = large if length < 0 else (await uow.conversations.create(title="ordinary")).id
            for start in range(0, abs(length), PORTION):
                await uow.messages.append_many(talk, self._said(min(PORTION, abs(length) - start)))

    async def _persona(self, number: int) -> None:
        vectors, said = self.vectors(number), texts(number, EACH)
        async with UnitOfWork(self.database) as uow:
            persona = (await uow.personas.create(name=f"{number:08}", template="-")).id
            rows = (
                {"content": f"{n} {text}", "persona_id": persona, "vector": vector}
                for n, (text, vector) in enumerate(zip(said, vectors, strict=True))
            )
            await uow.memories.remember_many(rows, space=self.space)

    def _said(self, size: int) -> Iterator[dict[str, Any]]:
        now, random = utc_now(), np.random.default_rng()
        chosen = random.integers(len(self._texts), size=size).tolist()
        for number, place in enumerate(chosen):
            role = "assistant" if number % 2 else "user"
            yield {"role": role, "content": self._texts[place], "sent_at": now - timedelta(seconds=size - number)}


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def texts(seed: int = 0, size: int = POOL) -> Sequence[str]:
    """Sentences of invented words."""
    random = np.random.default_rng([seed, 1])
    weights = 1 / np.arange(1, VOCABULARY + 1)
    numbers = random.choice(VOCABULARY, size=(size, WORDS), p=weights / weights.sum())
    return [" ".join(map(word, row)) for row in numbers.tolist()]
