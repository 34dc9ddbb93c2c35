"""A space in the text of SQL: its id and width, which an index over part of a table knows only as literals.

With a bound id PostgreSQL plans for any space at the sixth execution, and then reads the whole table.
"""

from uuid import UUID

from models import EmbeddingSpace

MOST_INDEXED_DIMENSIONS = 4_000
"""pgvector's limit for HNSW over `halfvec`."""


def space_literals(space: EmbeddingSpace) -> tuple[str, str]:
    """The id as a quoted literal and the type of the width; of nothing but a UUID and an int."""
    return f"'{UUID(str(space.id))}'", f"halfvec({int(space.dimensions)})"


def index_name(table: str, space_id: UUID) -> str:
    return f"ix_hnsw_{table}_{UUID(str(space_id)).hex}"
