"""What we ask: the only room that writes queries. Application code imports this one."""

from repositories.artifact import ArtifactRepository
from repositories.base import ReadRepository, Repository
from repositories.conversation import ConversationRepository
from repositories.embedder import Embedder
from repositories.embedding import EmbeddingRepository, FoundEmbedding
from repositories.embedding_space import EmbeddingSpaceRepository
from repositories.llm_call import LLMCallRepository
from repositories.memory import MemoryRepository
from repositories.memory_record import MemoryRecord, RecalledMemory
from repositories.message import MessageRepository
from repositories.message_record import MessageRecord
from repositories.message_writer import MessageWriter
from repositories.module import ModuleRepository, Stages
from repositories.pagination import Page
from repositories.persona import PersonaRepository
from repositories.reembedding import Reembedded, reembed
from repositories.run import RunRepository
from repositories.run_stats import RunStats
from repositories.search import SearchResult, build_indexes
from repositories.search.fuzzy_search import Similar, build_fuzzy_index, drop_fuzzy_index
from repositories.state import StateRecord, StateRepository
from repositories.step import StepRepository
from repositories.unit_of_work import UnitOfWork

__all__ = [
    "ArtifactRepository",
    "ConversationRepository",
    "Embedder",
    "EmbeddingRepository",
    "EmbeddingSpaceRepository",
    "FoundEmbedding",
    "LLMCallRepository",
    "MemoryRecord",
    "MemoryRepository",
    "MessageRecord",
    "MessageRepository",
    "MessageWriter",
    "ModuleRepository",
    "Page",
    "PersonaRepository",
    "ReadRepository",
    "RecalledMemory",
    "Reembedded",
    "Repository",
    "RunRepository",
    "RunStats",
    "SearchResult",
    "Similar",
    "Stages",
    "StateRecord",
    "StateRepository",
    "StepRepository",
    "UnitOfWork",
    "build_fuzzy_index",
    "build_indexes",
    "drop_fuzzy_index",
    "reembed",
]
