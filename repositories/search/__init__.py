"""Search by words and vector: the same question and the same answer on both databases."""

from collections.abc import Sequence

from database import Database
from models import EmbeddingSpace
from repositories.search import postgres, sqlite
from repositories.search.contract import (
    IndexState,
    Mode,
    Progress,
    Ranked,
    Search,
    SearchResult,
    Source,
    TableIndex,
    VectorQuery,
)
from repositories.search.memories import MemoryQuery
from repositories.search.messages import MessageQuery
from repositories.search.ranking import Ranking, RecallRanking, ScoreParts
from repositories.search.sources import EMBEDDINGS, MEMORIES

__all__ = [
    "EMBEDDINGS",
    "MEMORIES",
    "IndexState",
    "MemoryQuery",
    "MessageQuery",
    "Mode",
    "Ranked",
    "Ranking",
    "RecallRanking",
    "ScoreParts",
    "Search",
    "SearchResult",
    "Source",
    "TableIndex",
    "VectorQuery",
    "build_indexes",
    "search_on",
]


def search_on(dialect_name: str) -> Search:
    """How this database searches."""
    return postgres if dialect_name == "postgresql" else sqlite


async def build_indexes(
    database: Database, space: EmbeddingSpace, progress: Progress | None = None
) -> Sequence[TableIndex]:
    """Build the approximate indexes of a space, one for each table with vectors, as far as it can have them.

    Not inside a unit of work. Reading and writing go on meanwhile; what a killed build left is built anew.
    """
    return await search_on(database.url.get_backend_name()).build_indexes(database, space, progress)
