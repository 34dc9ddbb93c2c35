"""A plain store of text and vectors by source, for whatever is not a memory."""

from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from models.base import Entity
from models.types import Json, Vector
from models.values import JsonObject, VectorList


class Embedding(Entity, table=True):
    """One chunk of a source's text with its vector."""

    __tablename__ = "embeddings"
    __table_args__ = (
        # Two null owners are the same owner, and one owner's sources never collide with another's.
        sa.Index(
            "uq_embeddings_source",
            "source_type",
            "source_id",
            "chunk",
            "embedding_space_id",
            sa.text("coalesce(owner_id, '')"),
            unique=True,
        ),
        sa.Index(None, "owner_id"),
        sa.Index(None, "embedding_space_id"),
    )

    owner_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="The application's name for whom the row belongs to; null is shared.",
    )
    source_type: str = Field(max_length=50, description="The kind of source, in the application's word.")
    source_id: str = Field(max_length=255, description="Which source of that kind.")
    chunk: int = Field(default=0, ge=0, description="Which part of the source, from 0.")
    content: str = Field(max_length=1_000_000, description="The text that was embedded.")
    embedding_space_id: UUID = Field(
        foreign_key="embedding_spaces.id",
        ondelete="CASCADE",
        description="The space that gives the vector its meaning and width.",
    )
    embedding: VectorList = Field(sa_type=Vector, nullable=False, description="The vector.")
    extra_data: JsonObject = Field(
        default_factory=dict,
        sa_type=Json,
        nullable=False,
        description="Free data, filtered by search.",
    )
