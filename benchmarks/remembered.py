"""Personas with their memories: clustered vectors and texts of rare and frequent words, out of nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from benchmarks.conversations import Vector
from benchmarks.layers.sqlite3_limit import nearest
from benchmarks.multiplied import QUESTIONS, ROWS, multiply
from database import Database
from models import EmbeddingSpace, new_id
from repositories import UnitOfWork

OUTSIDE = 10
"""Subjects that no persona speaks of."""

SUBJECTS = 20
"""Base vectors of each: what is stored lies between them, as `multiply` says."""

CHUNK = 5_000

SYLLABLES = [consonant + vowel for consonant in "bdfghjklmnprstvz" for vowel in "aeiou"]
FREQUENT = "today really"
WORDS = 8
VOCABULARY = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """`nearest`: the right answer, of a persona's memories or, where it is None, of all."""

    vector: Vector
    persona: UUID | None
    nearest: frozenset[UUID]


@dataclass(slots=True)
class Remembered:
    """Grows as it is asked to; the same rows each time."""

    database: Database
    space: EmbeddingSpace
    size: int
    """How many personas."""

    personas: list[UUID] = field(default_factory=list)
    ids: list[UUID] = field(default_factory=list)
    _base: Vector | None = None
    _vectors: list[Vector] = field(default_factory=list)
    _owners: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = field(default_factory=list)

    async def grow(self, rows: int) -> None:
        """To so many memories, each with its vector; those that are there stay."""
        if not self.personas:
            async with UnitOfWork(self.database) as uow:
                self.personas = [
                    (await uow.personas.create(name=f"persona {n}", template="-")).id for n in range(self.size)
                ]
        while len(self.ids) < rows:
            await self._store(min(CHUNK, rows - len(self.ids)))
        if self.database.url.get_backend_name() == "postgresql":
            # Else the limit's plan would be the one of an empty table until the server looks by itself.
            await self.database.execute("ANALYZE conversation_memory, memory_embeddings")

    async def _store(self, count: int) -> None:
        random = np.random.default_rng(len(self.ids))
        chosen, vectors = multiply(self._bases()[: self.size * SUBJECTS], count, ROWS, random)
        owners = chosen // SUBJECTS
        ids = [new_id() for _ in range(count)]
        rows = [
            {"id": id, "content": content, "persona_id": self.personas[owner], "vector": vector}
            for id, content, owner, vector in zip(ids, texts(count, random), owners, vectors, strict=True)
        ]
        async with UnitOfWork(self.database) as uow:
            await uow.memories.remember_many(rows, space=self.space)
        self.ids += ids
        self._vectors.append(vectors)
        self._owners.append(owners)

    def questions(self, count: int, *, far: bool, everything: bool) -> list[Question]:
        """About a persona's own subjects, or far from them: another persona's, or nobody's."""
        random = np.random.default_rng(count)
        matrix, owners = np.vstack(self._vectors), np.concatenate(self._owners)
        there = np.unique(owners)
        asked = []
        for persona in random.choice(there, size=count):
            about = persona if not far else self.size + random.integers(OUTSIDE) if everything else (persona + 1)
            subjects = self._bases()[about * SUBJECTS :][:SUBJECTS]
            [vector] = multiply(subjects, 1, QUESTIONS, random)[1]
            places = np.arange(len(owners)) if everything else np.flatnonzero(owners == persona)
            best = frozenset(self.ids[places[place]] for place in nearest(matrix[places], vector))
            asked.append(Question(vector, None if everything else self.personas[persona], best))
        return asked

    def _bases(self) -> Vector:
        """Crowds: the subjects of a persona lie nearer to each other than to another's."""
        if self._base is None:
            random = np.random.default_rng(0)
            shape = (self.size + OUTSIDE, SUBJECTS, self.space.dimensions)
            centres = random.standard_normal((shape[0], 1, shape[2]), dtype=np.float32)
            self._base = (centres + random.standard_normal(shape, dtype=np.float32)).reshape(-1, shape[2])
        return self._base


def word(number: int) -> str:
    """An invented one, of three syllables."""
    letters = len(SYLLABLES)
    return "".join(SYLLABLES[number // letters**place % letters] for place in (2, 1, 0))


def texts(count: int, random: np.random.Generator) -> list[str]:
    """Words as frequent as words are: the n-th about one nth as often as the first."""
    weights = 1 / np.arange(1, VOCABULARY + 1)
    numbers = random.choice(VOCABULARY, size=(count, WORDS), p=weights / weights.sum())
    return [f"{FREQUENT} {' '.join(map(word, row))}" for row in numbers.tolist()]


def rare_words(random: np.random.Generator) -> str:
    """Three that one of some hundred or thousand texts has."""
    return " ".join(word(int(number)) for number in random.integers(50, 500, size=3))


def share(found: Sequence[UUID], question: Question) -> float:
    """How much of the right answer was found."""
    return len(question.nearest.intersection(found)) / len(question.nearest) if question.nearest else 1.0
