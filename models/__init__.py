"""What exists: every table, with its constraints and cascades. No IO, no settings, no engine."""

from models.artifact import Artifact
from models.base import Base, Entity, Timestamped, metadata, new_id, utc_now
from models.conversation import Conversation
from models.embedding import Embedding
from models.embedding_space import EmbeddingSpace, Metric, SpaceStatus
from models.llm_call import LLMCall
from models.memory import Memory, MemoryEmbedding, MemoryType
from models.message import Message, MessageEmbedding, MessageStatus, Role
from models.module import ExecutionContext, Module, ModuleType
from models.persona import Persona, PersonaModule
from models.run import Run, RunStatus
from models.state import State
from models.step import Step, StepStatus

__all__ = [
    "Artifact",
    "Base",
    "Conversation",
    "Embedding",
    "EmbeddingSpace",
    "Entity",
    "ExecutionContext",
    "LLMCall",
    "Memory",
    "MemoryEmbedding",
    "MemoryType",
    "Message",
    "MessageEmbedding",
    "MessageStatus",
    "Metric",
    "Module",
    "ModuleType",
    "Persona",
    "PersonaModule",
    "Role",
    "Run",
    "RunStatus",
    "SpaceStatus",
    "State",
    "Step",
    "StepStatus",
    "Timestamped",
    "metadata",
    "new_id",
    "utc_now",
]
