"""What is worth remembering of the talk, and the vectors by which it is recalled."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from models.base import Entity, Timestamped
from models.types import Json, Vector
from models.values import JsonObject, VectorList


class MemoryType(StrEnum):
    """The usual kinds; an application may use its own words."""

    EPISODIC = "episodic"
    SEMANTIC = "semantic"
    PROCEDURAL = "procedural"
    EMOTIONAL = "emotional"
    SUMMARY = "summary"


class Memory(Entity, table=True):
    """Something remembered: of a conversation, or of a persona or owner across conversations."""

    __tablename__ = "conversation_memory"
    __table_args__ = (
        # With the id: which rows a search is about is read from the index alone, not from as many places of the table.
        sa.Index(None, "owner_id", "id"),
        sa.Index(None, "conversation_id"),
        sa.Index(None, "persona_id", "owner_id", "id"),
        sa.Index(None, "first_message_id"),
    )

    owner_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="The application's name for whom the row belongs to; null is shared.",
    )
    conversation_id: UUID | None = Field(
        default=None,
        foreign_key="conversations.id",
        ondelete="CASCADE",
        description="The talk it comes from; null: it stands across talks.",
    )
    persona_id: UUID | None = Field(
        default=None,
        foreign_key="personas.id",
        ondelete="SET NULL",
        description="The persona that remembers it.",
    )
    first_message_id: UUID | None = Field(
        default=None,
        foreign_key="messages.id",
        ondelete="SET NULL",
        description="The message where it begins.",
    )
    content: str = Field(max_length=1_000_000, description="What is remembered.")
    memory_type: str = Field(
        default=MemoryType.EPISODIC,
        max_length=50,
        description="episodic, semantic, ... or a word of the application.",
    )
    importance: float = Field(
        default=0.5, ge=0, le=1, description="0 to 1; age is weighed when it is read, never here."
    )
    occurred_at: datetime | None = Field(default=None, description="When it happened, if known.")
    last_accessed_at: datetime | None = Field(default=None, description="When it was last used.")
    access_count: int = Field(default=0, ge=0, description="How often it was used.")
    extra_data: JsonObject = Field(
        default_factory=dict,
        sa_type=Json,
        nullable=False,
        description="Free data of the application.",
    )


class MemoryEmbedding(Timestamped, table=True):
    """A memory's vector in one space."""

    __tablename__ = "memory_embeddings"
    __table_args__ = (sa.Index(None, "embedding_space_id"),)

    memory_id: UUID = Field(
        foreign_key="conversation_memory.id",
        ondelete="CASCADE",
        primary_key=True,
        description="The memory whose text was embedded.",
    )
    embedding_space_id: UUID = Field(
        foreign_key="embedding_spaces.id",
        ondelete="CASCADE",
        primary_key=True,
        description="The space that gives the vector its meaning and width.",
    )
    embedding: VectorList = Field(sa_type=Vector, nullable=False, description="The vector.")
