"""This project, as an application uses it: units of work and repositories, and nothing that is not public."""

from collections.abc import Sequence
from typing import Self
from uuid import UUID

from benchmarks.conversations import Vector
from benchmarks.layers.work import LAST, NEAREST, Message
from database import Database
from models import EmbeddingSpace
from repositories import MemoryRepository, MessageRepository, UnitOfWork


class Repositories:
    name = "ours"

    def __init__(self, database: Database, space: EmbeddingSpace) -> None:
        self.database = database
        self._space = space

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        """The database is its opener's to close."""

    async def append(self, talk: UUID, content: str) -> object:
        async with UnitOfWork(self.database) as uow:
            return await uow.messages.append(talk, role="user", content=content)

    async def last(self, talk: UUID) -> Sequence[object]:
        async with self.database.session() as session:
            return await MessageRepository(session).history(talk, last=LAST)

    async def store(self, talk: UUID, messages: Sequence[Message]) -> object:
        async with UnitOfWork(self.database) as uow:
            return await uow.messages.append_many(talk, messages)

    async def delete(self, talk: UUID) -> object:
        async with UnitOfWork(self.database) as uow:
            return await uow.conversations.delete(talk)

    async def recall(self, vector: Vector, persona: UUID | None, text: str | None = None) -> Sequence[UUID]:
        async with self.database.session() as session:
            found = await MemoryRepository(session).recall(
                vector, text=text, space=self._space, persona_id=persona, limit=NEAREST
            )
        return [hit.id for hit in found]
