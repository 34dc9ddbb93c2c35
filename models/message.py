"""What was said: messages in the order of their position, and their vectors."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from models.base import Entity, Timestamped, utc_now
from models.types import Json, Vector
from models.values import JsonArray, JsonObject, VectorList


class Role(StrEnum):
    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class MessageStatus(StrEnum):
    COMPLETE = "complete"
    STREAMING = "streaming"
    INTERRUPTED = "interrupted"


class Message(Entity, table=True):
    """One utterance of a conversation; `position` is its only order."""

    __tablename__ = "messages"
    __table_args__ = (sa.UniqueConstraint("conversation_id", "position"),)

    conversation_id: UUID = Field(
        foreign_key="conversations.id", ondelete="CASCADE", description="The talk it belongs to."
    )
    position: int = Field(ge=1, description="1, 2, 3 ... in its conversation; deletes leave gaps.")
    role: Role = Field(description="Who speaks, in the terms of model providers.")
    name: str | None = Field(default=None, max_length=255, description="The speaker's name.")
    content: str = Field(max_length=1_000_000, description="The text; may be empty.")
    thinking: str | None = Field(
        default=None, max_length=1_000_000, description="The model's reasoning, if it is kept."
    )
    tool_calls: JsonArray | None = Field(
        default=None, sa_type=Json, description="Calls that an assistant's message asks for."
    )
    tool_call_id: str | None = Field(
        default=None, max_length=255, description="The call that a tool's message answers."
    )
    status: MessageStatus = Field(default=MessageStatus.COMPLETE, description="Whether the text is whole.")
    sent_at: datetime = Field(default_factory=utc_now, description="When it was said, UTC.")
    edited_at: datetime | None = Field(default=None, description="When its text was last changed.")
    input_tokens: int | None = Field(default=None, ge=0, description="Null: unknown.")
    output_tokens: int | None = Field(default=None, ge=0, description="Null: unknown.")
    episode: int = Field(default=1, ge=1, description="The stretch of talk it is part of.")
    fingerprint: str = Field(
        max_length=64,
        description="Hash of what was first appended: tells a repeated append from another message.",
    )
    extra_data: JsonObject = Field(
        default_factory=dict,
        sa_type=Json,
        nullable=False,
        description="Free data of the application.",
    )


class MessageEmbedding(Timestamped, table=True):
    """A message's vector in one space."""

    __tablename__ = "message_embeddings"
    __table_args__ = (sa.Index(None, "embedding_space_id"),)

    message_id: UUID = Field(
        foreign_key="messages.id",
        ondelete="CASCADE",
        primary_key=True,
        description="The message whose text was embedded.",
    )
    embedding_space_id: UUID = Field(
        foreign_key="embedding_spaces.id",
        ondelete="CASCADE",
        primary_key=True,
        description="The space that gives the vector its meaning and width.",
    )
    embedding: VectorList = Field(sa_type=Vector, nullable=False, description="The vector.")
