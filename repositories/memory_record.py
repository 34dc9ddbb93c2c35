"""A memory as it is read by the thousand: a plain record, with its score where it was searched for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from models import Memory
from models.values import JsonObject
from repositories.ownership import table_of


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """A memory without its vectors: nothing to change by mistake."""

    id: UUID
    owner_id: str | None
    conversation_id: UUID | None
    persona_id: UUID | None
    first_message_id: UUID | None
    content: str
    memory_type: str
    importance: float
    occurred_at: datetime | None
    last_accessed_at: datetime | None
    access_count: int
    extra_data: JsonObject
    created_at: datetime

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        return cls(**{field: row[field] for field in cls.__dataclass_fields__})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r})"


MEMORY_COLUMNS = [table_of(Memory).c[name] for name in MemoryRecord.__slots__]


@dataclass(frozen=True, slots=True, repr=False)
class RecalledMemory(MemoryRecord):
    """`score`: higher is better; the cosine similarity, the inner product, or minus the l2 distance. As it was before
    a recall that touches."""

    score: float
