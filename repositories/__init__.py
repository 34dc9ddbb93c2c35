"""What we ask: the only room that writes queries. Application code imports this one."""

from repositories.artifact import ArtifactRepository
from repositories.base import ReadRepository, Repository
from repositories.conversation import ConversationRepository
from repositories.embedding import EmbeddingRepository
from repositories.embedding_space import EmbeddingSpaceRepository
from repositories.llm_call import LLMCallRepository
from repositories.memory import MemoryRepository
from repositories.message import MessageRepository
from repositories.message_record import MessageRecord
from repositories.module import ModuleRepository, Stages
from repositories.pagination import Page
from repositories.persona import PersonaRepository
from repositories.run import RunRepository
from repositories.run_stats import RunStats
from repositories.state import StateRecord, StateRepository
from repositories.step import StepRepository
from repositories.unit_of_work import UnitOfWork

__all__ = [
    "ArtifactRepository",
    "ConversationRepository",
    "EmbeddingRepository",
    "EmbeddingSpaceRepository",
    "LLMCallRepository",
    "MemoryRepository",
    "MessageRecord",
    "MessageRepository",
    "ModuleRepository",
    "Page",
    "PersonaRepository",
    "ReadRepository",
    "Repository",
    "RunRepository",
    "RunStats",
    "Stages",
    "StateRecord",
    "StateRepository",
    "StepRepository",
    "UnitOfWork",
]
