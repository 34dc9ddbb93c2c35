"""What asking a model took: tokens, money and time."""

from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from models.base import Entity
from models.types import Json
from models.values import MONEY_DIGITS, MONEY_PLACES, JsonObject


class LLMCall(Entity, table=True):
    """One call of a model, in a run or in plain talk."""

    __tablename__ = "llm_calls"
    __table_args__ = (
        sa.Index(None, "owner_id", "created_at", "id"),
        sa.Index(None, "run_id"),
        sa.Index(None, "step_id"),
        sa.Index(None, "message_id"),
        sa.Index(None, "conversation_id"),
    )

    owner_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="Who bears the cost: stays when the talk is deleted; null is shared.",
    )
    run_id: UUID | None = Field(
        default=None,
        foreign_key="runs.id",
        ondelete="CASCADE",
        description="The run it was part of; null: plain talk.",
    )
    step_id: UUID | None = Field(
        default=None,
        foreign_key="steps.id",
        ondelete="SET NULL",
        description="The step that asked.",
    )
    message_id: UUID | None = Field(
        default=None,
        foreign_key="messages.id",
        ondelete="SET NULL",
        description="The message that came of it.",
    )
    conversation_id: UUID | None = Field(
        default=None,
        foreign_key="conversations.id",
        ondelete="SET NULL",
        description="The talk it was for.",
    )
    provider: str = Field(max_length=50, description="Who runs the model.")
    model: str = Field(max_length=255, description="Which model.")
    input_tokens: int | None = Field(default=None, ge=0, description="Null: unknown.")
    output_tokens: int | None = Field(default=None, ge=0, description="Null: unknown.")
    cached_tokens: int | None = Field(default=None, ge=0, description="Of the input; null: unknown.")
    reasoning_tokens: int | None = Field(default=None, ge=0, description="Of the output; null: unknown.")
    cost_usd: Decimal | None = Field(
        default=None,
        ge=0,
        max_digits=MONEY_DIGITS,
        decimal_places=MONEY_PLACES,
        description="Exact, US dollars; on SQLite an integer, scaled by 10**10. Null: unknown.",
    )
    latency_ms: int | None = Field(default=None, ge=0, description="How long it took.")
    error: str | None = Field(default=None, max_length=10_000, description="Why it failed.")
    extra_data: JsonObject = Field(
        default_factory=dict,
        sa_type=Json,
        nullable=False,
        description="Free data of the application.",
    )
