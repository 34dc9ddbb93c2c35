"""The demo's conversations: stored from a file as an import does it, with vectors, and read back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from database import Database
from database.errors import InvalidInputError
from models import EmbeddingSpace, Role
from repositories import Embedder, UnitOfWork
from repositories.embedder import embed_in
from scripts.demonstration.recall import Question
from scripts.import_format import ConversationReader
from scripts.import_records import ImportedConversation, ImportedMemory, ImportedMessage
from scripts.import_resume import Row
from scripts.importer import Change, Vectors, episodes_of, store

LISTED = 8
"""Conversations that the account names; the others are counted."""

READ_BACK = 4


@dataclass(frozen=True, slots=True)
class Talk:
    id: UUID
    owner_id: str | None
    title: str
    persona: str | None
    change: Change
    messages: int
    episodes: int
    memories: int


@dataclass(frozen=True, slots=True)
class Talks:
    """Sums over the file, how many of its conversations are new, and the first of them."""

    conversations: int
    new: int
    messages: int
    memories: int
    first: tuple[Talk, ...]


@dataclass(frozen=True, slots=True)
class Line:
    position: int
    speaker: str
    content: str


async def store_talks(
    database: Database, file: Path, embedder: Embedder, space: EmbeddingSpace
) -> tuple[Talks, Question]:
    """Store every conversation of the file; with them a question that one of them asks.

    What is remembered are the facts of the file, or, in a conversation without any, its messages.
    """
    conversations = new = messages = memories = 0
    first: list[Talk] = []
    question: Question | None = None
    with file.open("rb") as lines:
        for talk in ConversationReader(lines):
            episodes = () if talk.memories else episodes_of(talk)
            remembered = talk.memories or episodes
            vectors = Vectors(
                space, await _vectors(embedder, space, talk.messages), await _vectors(embedder, space, remembered)
            )
            outcome = await store(database, talk, episodes=episodes, vectors=vectors)
            conversations += 1
            new += outcome.change is Change.NEW
            messages += len(talk.messages)
            memories += len(remembered)
            if len(first) < LISTED:
                first.append(await _as_stored(database, talk, outcome.change))
            question = question or _asked_in(talk, episodes)
    if question is None:
        raise InvalidInputError("file", "holds no conversation in which anything is said")
    return Talks(conversations, new, messages, memories, tuple(first)), question


async def read_back(database: Database, conversation_id: UUID, owner_id: str | None) -> tuple[Line, ...]:
    """The newest messages, in reading order."""
    async with UnitOfWork(database, owner_id=owner_id) as uow:
        records = await uow.messages.history(conversation_id, last=READ_BACK)
    return tuple(Line(record.position, record.name or record.role, record.content) for record in records)


async def _as_stored(database: Database, talk: ImportedConversation, change: Change) -> Talk:
    async with UnitOfWork(database, owner_id=talk.owner_id) as uow:
        row = await uow.conversations.get(talk.id, load=["persona"])
        memories = await uow.memories.count(conversation_id=talk.id)
    persona = row.persona.name if row.persona else None
    return Talk(row.id, row.owner_id, row.title, persona, change, row.message_count, row.last_episode, memories)


async def _vectors(
    embedder: Embedder, space: EmbeddingSpace, texts: Sequence[ImportedMessage] | Sequence[ImportedMemory]
) -> dict[UUID, Row]:
    """A text without a word, as a call of a tool may be, gets none."""
    said = [text for text in texts if text.content.strip()]
    rows = await embed_in(space, embedder, [text.content for text in said])
    return {text.id: row for text, row in zip(said, rows, strict=True)}


def _asked_in(talk: ImportedConversation, episodes: Sequence[ImportedMemory]) -> Question | None:
    """The first question of a user in it, or the first thing that is said at all."""
    said = [message for message in talk.messages if message.content.strip()]
    if not said:
        return None
    asked = next((message for message in said if message.role is Role.USER and "?" in message.content), said[0])
    itself = next((episode.id for episode in episodes if episode.first_message_id == asked.id), None)
    return Question(asked.content, "this conversation", talk.owner_id, talk.id, itself=itself)
