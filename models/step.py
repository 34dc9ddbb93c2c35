"""The steps of a run, in order."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from models.base import Entity
from models.types import Json
from models.values import JsonValue


class StepStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class Step(Entity, table=True):
    """One step of a run: what went in, what came out."""

    __tablename__ = "steps"
    __table_args__ = (sa.UniqueConstraint("run_id", "position"),)

    run_id: UUID = Field(foreign_key="runs.id", ondelete="CASCADE", description="The run it is part of.")
    position: int = Field(ge=1, description="1, 2, 3 ... in its run.")
    name: str = Field(max_length=255, description="What the step is called.")
    kind: str | None = Field(default=None, max_length=50, description="The application's word for what it does.")
    status: StepStatus = Field(default=StepStatus.PENDING, description="How far it is.")
    input_data: JsonValue = Field(default=None, sa_type=Json, nullable=True, description="What went in.")
    output_data: JsonValue = Field(default=None, sa_type=Json, nullable=True, description="What came out.")
    error: str | None = Field(default=None, max_length=10_000, description="Why it failed.")
    started_at: datetime | None = Field(default=None, description="When work began.")
    finished_at: datetime | None = Field(default=None, description="When it ended.")
