"""One piece of work that an agent did: what was asked, what came of it, how it ended."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Relationship

from models.artifact import Artifact
from models.base import Entity
from models.llm_call import LLMCall
from models.step import Step
from models.types import Json
from models.values import JsonObject, JsonValue


class RunStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Run(Entity, table=True):
    """One run of an agent or pipeline; once it has ended it stays so."""

    __tablename__ = "runs"
    __table_args__ = (
        sa.UniqueConstraint("trace_id"),
        # Two null owners are the same owner.
        sa.Index(
            "uq_runs_idempotency_key",
            "idempotency_key",
            sa.text("coalesce(owner_id, '')"),
            unique=True,
        ),
        sa.Index(None, "owner_id", "created_at", "id"),
        sa.Index(None, "actor", "created_at", "id"),
        sa.Index(None, "conversation_id"),
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
        ondelete="SET NULL",
        description="The talk that it was done for.",
    )
    actor: str = Field(max_length=255, description="Who ran: the agent, job or person.")
    status: RunStatus = Field(default=RunStatus.PENDING, description="How far it is.")
    trace_id: str | None = Field(default=None, max_length=255, description="Its name in a tracing system.")
    idempotency_key: str | None = Field(
        default=None,
        max_length=255,
        description="The same key again is the same run, for one owner.",
    )
    request_payload: JsonObject = Field(
        default_factory=dict, sa_type=Json, nullable=False, description="What was asked."
    )
    result: JsonValue = Field(default=None, sa_type=Json, nullable=True, description="What came of it.")
    error: str | None = Field(default=None, max_length=10_000, description="Why it failed.")
    last_step_position: int = Field(default=0, ge=0, description="The highest position ever given to a step.")
    started_at: datetime | None = Field(default=None, description="When work began.")
    finished_at: datetime | None = Field(default=None, description="When it ended.")

    steps: list[Step] = Relationship(
        sa_relationship_kwargs={"lazy": "raise", "viewonly": True, "order_by": "Step.position"}
    )
    artifacts: list[Artifact] = Relationship(
        sa_relationship_kwargs={"lazy": "raise", "viewonly": True, "order_by": "Artifact.id"}
    )
    llm_calls: list[LLMCall] = Relationship(
        sa_relationship_kwargs={"lazy": "raise", "viewonly": True, "order_by": "LLMCall.id"}
    )
