"""Memories of a conversation (`conversation_id=None` for one that stands across conversations), and their vectors."""

from typing import Any

import factory
from sqlmodel.ext.asyncio.session import AsyncSession

from models import Conversation, Memory, MemoryEmbedding
from tests.factories.base import AsyncFactory, Parent
from tests.factories.conversation import ConversationFactory
from tests.factories.embedding_space import EmbeddingSpaceFactory


class MemoryFactory(AsyncFactory[Memory]):
    class Meta:
        model = Memory

    conversation_id = Parent(ConversationFactory)
    content = factory.Sequence(lambda n: f"Memory {n}")

    @classmethod
    async def prepare(cls, session: AsyncSession, fields: dict[str, Any]) -> dict[str, Any]:
        """A memory's owner is its conversation's."""
        if fields["conversation_id"] is not None:
            conversation = await session.get(Conversation, fields["conversation_id"])
            if conversation is not None:
                fields.setdefault("owner_id", conversation.owner_id)
        return fields


class MemoryEmbeddingFactory(AsyncFactory[MemoryEmbedding]):
    class Meta:
        model = MemoryEmbedding

    memory_id = Parent(MemoryFactory)
    embedding_space_id = Parent(EmbeddingSpaceFactory)
    embedding = factory.LazyFunction(lambda: [1.0, 0.0, 0.0])
