"""What a run made: where it lies, never the bytes themselves."""

from urllib.parse import urlsplit
from uuid import UUID

import sqlalchemy as sa
from pydantic import field_validator
from sqlmodel import Field

from models.base import Entity
from models.types import Json
from models.values import JsonObject


class Artifact(Entity, table=True):
    """A file or page that a run made, by its URL."""

    __tablename__ = "artifacts"
    __table_args__ = (sa.Index(None, "run_id"), sa.Index(None, "step_id"))

    run_id: UUID = Field(foreign_key="runs.id", ondelete="CASCADE", description="The run that made it.")
    step_id: UUID | None = Field(
        default=None,
        foreign_key="steps.id",
        ondelete="SET NULL",
        description="The step that made it.",
    )
    name: str = Field(max_length=255, description="What it is called.")
    media_type: str | None = Field(default=None, max_length=255, description="Its MIME type.")
    url: str = Field(max_length=2_000, description="Where it lies.")
    size_bytes: int | None = Field(default=None, ge=0, description="How large it is.")
    sha256: str | None = Field(
        default=None, min_length=64, max_length=64, description="Hash of its bytes, 64 hex digits."
    )
    extra_data: JsonObject = Field(
        default_factory=dict,
        sa_type=Json,
        nullable=False,
        description="Free data of the application.",
    )

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        """A `data:` URL is bytes in disguise."""
        scheme = urlsplit(value).scheme
        if not scheme or scheme == "data":
            raise ValueError("url must have a scheme, and not be data:")
        return value

    @field_validator("sha256")
    @classmethod
    def _is_hash(cls, value: str | None) -> str | None:
        if value is not None and not set(value) <= set("0123456789abcdef"):
            raise ValueError("sha256 must be 64 lower-case hex digits")
        return value
