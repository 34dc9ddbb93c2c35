"""The demo asks its questions: what is remembered is found by vector."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from database import Database
from models import EmbeddingSpace
from repositories import Embedder, UnitOfWork
from scripts.import_records import conversation_uuid, memory_uuid
from scripts.sample import load_sample
from scripts.seed import Seeded

HITS = 2


@dataclass(frozen=True, slots=True)
class Question:
    """`scope` says among whose memories: those of `persona_id`, or else of the conversation.

    `expected` is the memory that answers it, where that is known; `itself` is the question's own, which is no answer.
    """

    text: str
    scope: str
    owner_id: str | None
    conversation_id: UUID
    persona_id: UUID | None = None
    expected: UUID | None = None
    itself: UUID | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    score: float
    content: str
    memory_type: str
    occurred_at: datetime | None
    expected: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """`exact`: no other memory in the scope is nearer than these."""

    question: str
    scope: str
    exact: bool
    hits: tuple[Hit, ...]


def sample_questions(seeded: Seeded) -> list[Question]:
    """Those that come with the sample; each asks among the memories of one persona."""
    personas = {persona.name: persona.id for persona in seeded.personas}
    questions = []
    for sample in load_sample().questions:
        talk = conversation_uuid(sample.conversation, seeded.owner_id)
        questions.append(
            Question(
                text=sample.question,
                scope=f"the memories of {sample.persona}",
                owner_id=seeded.owner_id,
                conversation_id=talk,
                persona_id=personas[sample.persona],
                expected=memory_uuid(talk, sample.expected_memory),
            )
        )
    return questions


async def ask(database: Database, question: Question, embedder: Embedder, space: EmbeddingSpace) -> Answer:
    """The nearest memories, counted as used."""
    [vector] = await embedder.embed([question.text])
    async with UnitOfWork(database, owner_id=question.owner_id) as uow:
        found = await uow.memories.recall(
            vector,
            space=space,
            persona_id=question.persona_id,
            conversation_id=None if question.persona_id else question.conversation_id,
            limit=HITS + (question.itself is not None),
        )
        hits = [hit for hit in found if hit.id != question.itself][:HITS]
        await uow.memories.touch(hit.id for hit in hits)
    return Answer(
        question.text,
        question.scope,
        found.exact,
        tuple(
            Hit(hit.score, hit.content, hit.memory_type, hit.occurred_at, hit.id == question.expected) for hit in hits
        ),
    )
