"""What of a conversation an earlier import has stored, and what of the file comes after it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models import EmbeddingSpace
from repositories import UnitOfWork

Row = NDArray[np.float32]

TEXTS = "SELECT t.id FROM {table} AS t WHERE t.conversation_id = :conversation"
VECTORS = """
SELECT t.id FROM {table} AS t JOIN {vectors} AS v ON v.{key} = t.id
WHERE t.conversation_id = :conversation AND v.embedding_space_id = :space
"""


class Identified(Protocol):
    @property
    def id(self) -> UUID: ...


ItemT = TypeVar("ItemT", bound=Identified)


@dataclass(frozen=True, slots=True)
class Stored:
    """The ids of what the database has of a conversation, and of those texts that have a vector in the space."""

    messages: frozenset[UUID] = frozenset()
    memories: frozenset[UUID] = frozenset()
    message_vectors: frozenset[UUID] = frozenset()
    memory_vectors: frozenset[UUID] = frozenset()

    @classmethod
    async def of(cls, uow: UnitOfWork, conversation_id: UUID, space: EmbeddingSpace | None) -> Self:
        """The unit's raw SQL sees every owner's rows: ask for a conversation that is known to be this owner's."""

        async def ids(sql: str, **values: UUID) -> frozenset[UUID]:
            rows = await uow.fetch_all(sql, {"conversation": conversation_id, **values}, columns={"id": UUID})
            return frozenset(id for id in rows.column("id") if isinstance(id, UUID))

        messages = await ids(TEXTS.format(table="messages"))
        memories = await ids(TEXTS.format(table="conversation_memory"))
        if space is None:
            return cls(messages, memories)
        of_messages = VECTORS.format(table="messages", vectors="message_embeddings", key="message_id")
        of_memories = VECTORS.format(table="conversation_memory", vectors="memory_embeddings", key="memory_id")
        return cls(messages, memories, await ids(of_messages, space=space.id), await ids(of_memories, space=space.id))


def following(items: Sequence[ItemT], stored: Collection[UUID]) -> Sequence[ItemT]:
    """The items after the last that is stored: what is missing before it was deleted here, and stays so."""
    for place in range(len(items), 0, -1):
        if items[place - 1].id in stored:
            return items[place:]
    return items


def missing(
    vectors: Mapping[UUID, Row], texts: Collection[UUID], stored: Collection[UUID]
) -> Iterable[tuple[UUID, Row]]:
    """The vectors of texts that are there and have none yet."""
    return ((id, row) for id, row in vectors.items() if id in texts and id not in stored)
