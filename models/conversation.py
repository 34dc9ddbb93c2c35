"""One talk: its title, its persona, and the counters that its messages keep."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Relationship

from models.base import Entity, utc_now
from models.persona import Persona
from models.types import Json
from models.values import JsonObject


class Conversation(Entity, table=True):
    """A talk between a person and a persona."""

    __tablename__ = "conversations"
    __table_args__ = (
        sa.Index(None, "owner_id", "last_message_at", "id"),
        sa.Index(None, "persona_id", "last_message_at", "id"),
        sa.Index(None, "last_message_at", "id"),
    )

    owner_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="The application's name for whom the row belongs to; null is shared.",
    )
    title: str = Field(max_length=255, description="What the talk is called in a list.")
    persona_id: UUID | None = Field(
        default=None,
        foreign_key="personas.id",
        ondelete="SET NULL",
        description="Whom the talk is with.",
    )
    provider_type: str | None = Field(default=None, max_length=50, description="The model provider that answers.")
    provider_config: JsonObject | None = Field(default=None, sa_type=Json, description="Settings for that provider.")
    last_position: int = Field(
        default=0, ge=0, description="The highest position ever given to a message; never falls."
    )
    last_episode: int = Field(default=0, ge=0, description="The highest episode ever given to a message; never falls.")
    message_count: int = Field(default=0, ge=0, description="How many messages it holds.")
    input_tokens: int = Field(default=0, ge=0, description="Sum over its messages.")
    output_tokens: int = Field(default=0, ge=0, description="Sum over its messages.")
    last_message_at: datetime = Field(
        default_factory=utc_now,
        description="When its last message was sent; its creation until there is one.",
    )
    archived_at: datetime | None = Field(default=None, description="When it was put away; null while it is current.")
    extra_data: JsonObject = Field(
        default_factory=dict,
        sa_type=Json,
        nullable=False,
        description="Free data of the application.",
    )

    persona: Persona | None = Relationship(sa_relationship_kwargs={"lazy": "raise", "viewonly": True})
