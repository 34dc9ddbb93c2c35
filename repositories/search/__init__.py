"""Search by vector: the same question and the same answer on both databases."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from database import Database
from models import EmbeddingSpace
from repositories.search import (
    postgres,
    postgres_memories,
    postgres_messages,
    sqlite,
    sqlite_memories,
    sqlite_messages,
)
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
    "holds_words",
    "search_memories",
    "search_messages",
    "search_on",
]


def search_on(dialect_name: str) -> Search:
    """How this database searches."""
    return postgres if dialect_name == "postgresql" else sqlite


async def search_messages(connection: AsyncConnection, query: MessageQuery) -> Ranked:
    """The best answers among messages."""
    if connection.dialect.name == "postgresql":
        return await postgres_messages.messages(connection, query)
    return await sqlite_messages.messages(connection, query)


def holds_words(dialect_name: str, words: Sequence[str]) -> sa.ColumnElement[bool]:
    """Whether a message holds every one of the words; none at all is held by no message."""
    if not words:
        return sa.false()
    here = postgres_messages if dialect_name == "postgresql" else sqlite_messages
    return sa.type_coerce(here.holds(words).self_group(), sa.Boolean)


async def search_memories(connection: AsyncConnection, query: MemoryQuery) -> Ranked:
    """The best answers among memories."""
    if connection.dialect.name == "postgresql":
        return await postgres_memories.memories(connection, query)
    return await sqlite_memories.memories(connection, query)


async def build_indexes(
    database: Database, space: EmbeddingSpace, progress: Progress | None = None
) -> Sequence[TableIndex]:
    """Build the approximate indexes of a space, one for each table with vectors, as far as it can have them.

    Not inside a unit of work. Reading and writing go on meanwhile; what a killed build left is built anew.
    """
    return await search_on(database.url.get_backend_name()).build_indexes(database, space, progress)
