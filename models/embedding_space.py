"""What vectors mean: a space is one embedding model at one width, compared by one metric."""

from enum import StrEnum

import sqlalchemy as sa
from sqlmodel import Field

from models.base import Entity
from models.values import MAX_DIMENSIONS


class Metric(StrEnum):
    COSINE = "cosine"
    L2 = "l2"
    INNER_PRODUCT = "inner_product"


class SpaceStatus(StrEnum):
    BUILDING = "building"
    ACTIVE = "active"
    RETIRED = "retired"


class EmbeddingSpace(Entity, table=True):
    """An embedding model and its version; vectors of two spaces are never compared."""

    __tablename__ = "embedding_spaces"
    __table_args__ = (
        sa.UniqueConstraint("name"),
        sa.Index(
            "uq_embedding_spaces_active",
            "status",
            unique=True,
            postgresql_where=sa.text("status = 'active'"),
            sqlite_where=sa.text("status = 'active'"),
        ),
    )

    name: str = Field(max_length=255, description="The application's word for a model and its version.")
    dimensions: int = Field(ge=1, le=MAX_DIMENSIONS, description="The width of every vector in it.")
    metric: Metric = Field(default=Metric.COSINE, description="How two vectors are compared.")
    status: SpaceStatus = Field(
        default=SpaceStatus.BUILDING,
        description="building, active (the one that is used where none is named) or retired.",
    )
