"""Search by vector: the same question and the same answer on both databases."""

from repositories.search import postgres, sqlite
from repositories.search.contract import IndexState, Mode, Search, SearchResult, Source, TableIndex, VectorQuery
from repositories.search.sources import EMBEDDINGS, MEMORIES

__all__ = [
    "EMBEDDINGS",
    "MEMORIES",
    "IndexState",
    "Mode",
    "Search",
    "SearchResult",
    "Source",
    "TableIndex",
    "VectorQuery",
    "search_on",
]


def search_on(dialect_name: str) -> Search:
    """How this database searches."""
    return postgres if dialect_name == "postgresql" else sqlite
