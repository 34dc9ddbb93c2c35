"""What a persona can do besides talking: prompt parts and scripts that run at a stage of a reply."""

from enum import StrEnum

import regex
import sqlalchemy as sa
from pydantic import field_validator
from sqlmodel import Field

from models.base import Entity


class ModuleType(StrEnum):
    SIMPLE = "simple"
    ADVANCED = "advanced"


class ExecutionContext(StrEnum):
    IMMEDIATE = "immediate"
    POST_RESPONSE = "post_response"
    ON_DEMAND = "on_demand"


class Module(Entity, table=True):
    """A piece of prompt, a script, or both, used by any number of personas."""

    __tablename__ = "modules"
    __table_args__ = (
        sa.Index(None, "owner_id"),
        sa.CheckConstraint("content IS NOT NULL OR script IS NOT NULL", name="content_or_script"),
    )

    owner_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="The application's name for whom the row belongs to; null is shared.",
    )
    name: str = Field(max_length=255, description="What the module is called.")
    description: str | None = Field(
        default=None, max_length=10_000, description="What it is for, in the words of its maker."
    )
    content: str | None = Field(
        default=None,
        max_length=1_000_000,
        description="The prompt text it adds; null if script-only.",
    )
    type: ModuleType = Field(default=ModuleType.SIMPLE, description="simple adds text, advanced runs its script.")
    trigger_pattern: str | None = Field(
        default=None,
        max_length=500,
        description="A regular expression; the module is triggered by text in which it is found.",
    )
    script: str | None = Field(default=None, max_length=1_000_000, description="The program text it runs.")
    execution_context: ExecutionContext = Field(
        default=ExecutionContext.IMMEDIATE, description="When it runs: before, after or on demand."
    )
    requires_ai_inference: bool = Field(
        default=False,
        description="Whether running it asks a model; such modules run later in a stage.",
    )
    stage_priority: int = Field(default=100, description="Order within a stage; lower runs first.")
    is_active: bool = Field(default=True, description="Whether it runs at all.")

    @field_validator("trigger_pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                regex.compile(value)
            except regex.error as error:
                raise ValueError("trigger_pattern is not a regular expression") from error
        return value
