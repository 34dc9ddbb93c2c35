"""Who speaks: personas, and which modules each of them uses."""

from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Relationship

from models.base import Entity, Timestamped
from models.module import Module
from models.types import Json
from models.values import JsonObject


class PersonaModule(Timestamped, table=True):
    """One persona uses one module."""

    __tablename__ = "persona_modules"
    __table_args__ = (sa.Index(None, "module_id"),)

    persona_id: UUID = Field(
        foreign_key="personas.id",
        ondelete="CASCADE",
        primary_key=True,
        description="The persona that uses the module.",
    )
    module_id: UUID = Field(
        foreign_key="modules.id",
        ondelete="CASCADE",
        primary_key=True,
        description="The module that it uses.",
    )


class Persona(Entity, table=True):
    """A character or assistant that conversations are held with."""

    __tablename__ = "personas"
    __table_args__ = (sa.Index(None, "owner_id"),)

    owner_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="The application's name for whom the row belongs to; null is shared.",
    )
    name: str = Field(max_length=255, description="What the persona is called.")
    description: str | None = Field(
        default=None, max_length=10_000, description="What it is for, in the words of its maker."
    )
    template: str = Field(max_length=1_000_000, description="The system prompt it speaks from.")
    mode: str | None = Field(default=None, max_length=50, description="The application's word for how it behaves.")
    loop_frequency: str | None = Field(
        default=None, max_length=50, description="How often it acts by itself, if it does."
    )
    first_message: str | None = Field(
        default=None, max_length=10_000, description="What it says when a conversation opens."
    )
    image_path: str | None = Field(default=None, max_length=500, description="Where its picture lies.")
    is_active: bool = Field(default=True, description="Whether it is offered to anyone.")
    extra_data: JsonObject = Field(
        default_factory=dict,
        sa_type=Json,
        nullable=False,
        description="Free data of the application.",
    )

    modules: list[Module] = Relationship(
        link_model=PersonaModule,
        sa_relationship_kwargs={
            "lazy": "raise",
            "viewonly": True,
            "order_by": "Module.stage_priority",
        },
    )
