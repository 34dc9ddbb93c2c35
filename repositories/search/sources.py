"""What can be searched by vector: memories and the plain store, with the conditions that narrow a search."""

import sqlalchemy as sa

from models import Embedding, Memory
from models.types import Json, UTCDateTime
from repositories.ownership import table_of
from repositories.search.contract import Source

OWN = {"owner_id": ("r.owner_id = :owner_id", sa.Text())}

MEMORIES = Source(
    table="memory_embeddings",
    key="memory_id",
    rows="conversation_memory AS r JOIN memory_embeddings AS v ON v.memory_id = r.id",
    vectors="v",
    row_table=table_of(Memory),
    columns=tuple(column.name for column in table_of(Memory).columns),
    filters=OWN
    | {
        "conversation_id": ("r.conversation_id = :conversation_id", sa.Uuid()),
        "persona_id": ("r.persona_id = :persona_id", sa.Uuid()),
        "memory_type": ("r.memory_type = :memory_type", sa.Text()),
        "min_importance": ("r.importance >= :min_importance", sa.Float()),
        "since": ("coalesce(r.occurred_at, r.created_at) >= :since", UTCDateTime()),
        "until": ("coalesce(r.occurred_at, r.created_at) < :until", UTCDateTime()),
    },
)

EMBEDDINGS = Source(
    table="embeddings",
    key="id",
    rows="embeddings AS r",
    vectors="r",
    row_table=table_of(Embedding),
    columns=tuple(column.name for column in table_of(Embedding).columns if column.name != "embedding"),
    filters=OWN
    | {
        "source_type": ("r.source_type = :source_type", sa.Text()),
        "source_id": ("r.source_id = :source_id", sa.Text()),
        "metadata": ("jsonb_contains(r.extra_data, :metadata)", Json()),
    },
)

INDEXED = ("memory_embeddings", "message_embeddings", "embeddings")
"""The tables with vectors, in the order in which their indexes are built and dropped."""
