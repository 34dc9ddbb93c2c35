"""A factory for each model, by the same file names: `await MessageFactory.create(content="Hello")`."""

from tests.factories.artifact import ArtifactFactory
from tests.factories.base import AsyncFactory, Parent, current_session, storing_in
from tests.factories.conversation import ConversationFactory
from tests.factories.embedding import EmbeddingFactory
from tests.factories.embedding_space import EmbeddingSpaceFactory
from tests.factories.llm_call import LLMCallFactory
from tests.factories.memory import MemoryEmbeddingFactory, MemoryFactory
from tests.factories.message import MessageEmbeddingFactory, MessageFactory
from tests.factories.module import ModuleFactory
from tests.factories.persona import PersonaFactory, PersonaModuleFactory
from tests.factories.run import RunFactory
from tests.factories.state import StateFactory
from tests.factories.step import StepFactory

__all__ = [
    "ArtifactFactory",
    "AsyncFactory",
    "ConversationFactory",
    "EmbeddingFactory",
    "EmbeddingSpaceFactory",
    "LLMCallFactory",
    "MemoryEmbeddingFactory",
    "MemoryFactory",
    "MessageEmbeddingFactory",
    "MessageFactory",
    "ModuleFactory",
    "Parent",
    "PersonaFactory",
    "PersonaModuleFactory",
    "RunFactory",
    "StateFactory",
    "StepFactory",
    "current_session",
    "storing_in",
]
