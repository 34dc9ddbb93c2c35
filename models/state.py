"""What a conversation has to remember between two replies: values by key."""

from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from models.base import Entity
from models.types import Json
from models.values import JsonValue


class State(Entity, table=True):
    """A value under a key of a conversation, of a persona or module in it where one is given."""

    __tablename__ = "conversation_states"
    __table_args__ = (
        # A null persona or module means "bound to none", and two of those are the same.
        sa.Index(
            "uq_conversation_states_key",
            "conversation_id",
            sa.text("coalesce(CAST(persona_id AS TEXT), '')"),
            sa.text("coalesce(CAST(module_id AS TEXT), '')"),
            "state_key",
            unique=True,
        ),
        sa.Index(None, "persona_id"),
        sa.Index(None, "module_id"),
    )

    conversation_id: UUID = Field(
        foreign_key="conversations.id", ondelete="CASCADE", description="The talk it belongs to."
    )
    persona_id: UUID | None = Field(
        default=None,
        foreign_key="personas.id",
        ondelete="CASCADE",
        description="The persona it is bound to; null: none.",
    )
    module_id: UUID | None = Field(
        default=None,
        foreign_key="modules.id",
        ondelete="CASCADE",
        description="The module it is bound to; null: none.",
    )
    state_key: str = Field(max_length=255, description="The name of the value.")
    state_value: JsonValue = Field(
        sa_type=Json(none_as_null=False), nullable=False, description="The value; JSON null is one."
    )
    version: int = Field(default=1, ge=1, description="1, then one more at each write.")
