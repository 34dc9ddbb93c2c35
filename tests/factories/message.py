"""Messages, each at the next position of its conversation, whose counters it keeps true."""

from typing import Any
from uuid import UUID

import factory
from sqlmodel.ext.asyncio.session import AsyncSession

from models import Conversation, Message, MessageEmbedding, Role, utc_now
from repositories.message_record import fingerprint_of
from tests.factories.base import AsyncFactory, Parent
from tests.factories.conversation import ConversationFactory
from tests.factories.embedding_space import EmbeddingSpaceFactory


class MessageFactory(AsyncFactory[Message]):
    class Meta:
        model = Message

    conversation_id = Parent(ConversationFactory)
    position = 1
    role = Role.USER
    content = factory.Sequence(lambda n: f"Message {n}")
    fingerprint = ""

    @classmethod
    def _build(cls, model_class: type[Message], *args: Any, **fields: Any) -> Message:
        """With the fingerprint of an append, so that the same append again finds it."""
        message = super()._build(model_class, *args, **fields)
        message.fingerprint = message.fingerprint or fingerprint_of(message.model_dump())
        return message

    @classmethod
    async def prepare(cls, session: AsyncSession, fields: dict[str, Any]) -> dict[str, Any]:
        conversation = await _conversation(session, fields["conversation_id"])
        if conversation is None:
            return fields
        fields.setdefault("position", conversation.last_position + 1)
        fields.setdefault("sent_at", utc_now())
        fields.setdefault("episode", max(conversation.last_episode, 1))
        if fields["position"] > conversation.last_position:
            conversation.last_position = fields["position"]
            conversation.last_message_at = fields["sent_at"]
        conversation.last_episode = max(conversation.last_episode, fields["episode"])
        conversation.message_count += 1
        conversation.input_tokens += fields.get("input_tokens") or 0
        conversation.output_tokens += fields.get("output_tokens") or 0
        return fields


async def _conversation(session: AsyncSession, conversation_id: UUID) -> Conversation | None:
    return await session.get(Conversation, conversation_id, populate_existing=True)


class MessageEmbeddingFactory(AsyncFactory[MessageEmbedding]):
    class Meta:
        model = MessageEmbedding

    message_id = Parent(MessageFactory)
    embedding_space_id = Parent(EmbeddingSpaceFactory)
    embedding = factory.LazyFunction(lambda: [1.0, 0.0, 0.0])
