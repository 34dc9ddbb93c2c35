"""More rows than a folder of conversations has, in clusters as real ones are: each lies between two that are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from benchmarks.conversations import Talk, Vector
from database import Database
from models import EmbeddingSpace, new_id
from repositories import UnitOfWork

ROWS, QUESTIONS = 0.35, 0.1
"""How far a new vector lies from the real one that it is made of, towards a neighbour and at random."""

NEIGHBOURS = 10


def multiply(base: Vector, count: int, spread: float, random: np.random.Generator) -> tuple[NDArray[np.int64], Vector]:
    """Which base vector each of `count` new ones is made of, and the new ones, of length 1."""
    base = base / np.linalg.norm(base, axis=1, keepdims=True)
    near = np.argsort(-(base @ base.T), axis=1)[:, 1 : NEIGHBOURS + 1]
    chosen = random.integers(len(base), size=count)
    towards = base[near[chosen, random.integers(near.shape[1], size=count)]]
    part = random.random((count, 1), dtype=np.float32)
    noise = random.standard_normal(towards.shape, dtype=np.float32) / np.sqrt(np.float32(base.shape[1]))
    made = base[chosen] + spread * part * (towards - base[chosen]) + spread * noise
    return chosen, (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Multiplied:
    """A full database. Each talk has a persona, and each copy of a talk an owner and a conversation of its own."""

    personas: Sequence[UUID]
    conversations: Sequence[UUID]
    """The first copy of each talk."""
    space: EmbeddingSpace


def owner_of(talk: Talk, copy: int) -> str:
    return f"{talk.name} {copy}"


async def fill(
    database: Database, talks: Sequence[Talk], rows: int, progress: Progress, *, seed: int = 1
) -> Multiplied:
    """Store `rows` memories and as many messages, made of the talks; a unit of work for each copy of all of them."""
    random = np.random.default_rng(seed)
    base = np.vstack([list(talk.vectors.values()) for talk in talks])
    lines = [line for talk in talks for line in talk.messages]
    talk_of = np.repeat(np.arange(len(talks)), [len(talk.messages) for talk in talks])
    chosen, vectors = multiply(base, rows, ROWS, random)
    async with UnitOfWork(database) as uow:
        space = await uow.embedding_spaces.create(name="multiplied", dimensions=base.shape[1])
        personas = [(await uow.personas.create(name=talk.name, template="-")).id for talk in talks]
    task = progress.add_task("storing", total=rows)
    copies: list[UUID] = []
    for copy, start in enumerate(range(0, rows, len(base))):
        own = np.arange(start, min(start + len(base), rows))
        async with UnitOfWork(database) as uow:
            for place, talk in enumerate(talks):
                # In the order of the talk that they are made of, as its episodes and dates have it.
                mine = own[talk_of[chosen[own]] == place]
                mine = mine[np.argsort(chosen[mine], kind="stable")]
                told = [lines[number] for number in chosen[mine]]
                owner_id = owner_of(talk, copy)
                copies.append(await _store(uow, told, vectors[mine], owner_id, personas[place], space, random))
        progress.advance(task, own.size)
    return Multiplied(personas, copies[: len(talks)], space)


async def _store(
    uow: UnitOfWork,
    told: Sequence[Mapping[str, Any]],
    vectors: Vector,
    owner_id: str,
    persona_id: UUID,
    space: EmbeddingSpace,
    random: np.random.Generator,
) -> UUID:
    """One copy of a talk, as a conversation and as memories."""
    talk = await uow.conversations.create(title=owner_id, owner_id=owner_id, persona_id=persona_id)
    records = await uow.messages.append_many(talk.id, [dict(line, id=new_id()) for line in told])
    await uow.messages.embed_many(zip((record.id for record in records), vectors, strict=True), space)
    memories = [
        {
            "content": line["content"],
            "conversation_id": talk.id,
            "persona_id": persona_id,
            "importance": float(random.random()),
            "occurred_at": line["sent_at"],
            "vector": vector,
        }
        for line, vector in zip(told, vectors, strict=True)
    ]
    await uow.memories.remember_many(memories, space=space)
    return talk.id
