"""What an import does with a conversation: one unit, whole or not at all, and known again the next time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid5

from database import Database
from database.errors import DimensionError, DuplicateError, NotFoundError
from models import Conversation, EmbeddingSpace
from repositories import UnitOfWork
from scripts.import_line import LONGEST_CONTENT, MalformedLineError
from scripts.import_records import ImportedConversation, ImportedMemory, ImportedMessage
from scripts.import_resume import Row, Stored, following, missing

PORTION = 5_000
"""Messages of one call, whose records are not kept: of a long conversation there would be many."""


class Change(StrEnum):
    NEW = "new"
    EXTENDED = "extended"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of a conversation's texts in one space, by the ids of their rows."""

    space: EmbeddingSpace
    messages: Mapping[UUID, Row]
    memories: Mapping[UUID, Row]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What of a conversation was stored now. `persona_found` is False where the file names one that is not there."""

    change: Change
    messages: int
    memories: int
    message_vectors: int
    memory_vectors: int
    persona_found: bool


def episodes_of(talk: ImportedConversation) -> tuple[ImportedMemory, ...]:
    """Each message as an episodic memory, under an id that follows from the message's."""
    return tuple(
        ImportedMemory(
            id=uuid5(message.id, "memory"),
            source_id=message.source_id,
            content=spoken(message),
            occurred_at=message.sent_at,
            first_message_id=message.id,
        )
        for message in talk.messages
    )


def spoken(message: ImportedMessage) -> str:
    """`speaker: text`; the text alone where nobody is named, or where it has no room for a name."""
    text = f"{message.name}: {message.content}" if message.name else message.content
    return text if len(text) <= LONGEST_CONTENT else message.content


async def space_named(database: Database, name: str, dimensions: int) -> EmbeddingSpace:
    """The space of this name, made if it is new; it becomes the active one where there is none."""
    async with UnitOfWork(database) as uow:
        try:
            async with uow.nested():
                space = await uow.embedding_spaces.create(name=name, dimensions=dimensions)
            if await uow.embedding_spaces.active() is None:
                space = await uow.embedding_spaces.activate(space.id)
        except DuplicateError:
            space = await uow.embedding_spaces.get_by_name(name)
    if space.dimensions != dimensions:
        raise DimensionError(space.dimensions, dimensions, "vectors")
    return space


async def store(
    database: Database,
    talk: ImportedConversation,
    *,
    episodes: Sequence[ImportedMemory] = (),
    vectors: Vectors | None = None,
) -> Outcome:
    """Store what is not there yet of a conversation, with `episodes` as further memories; in one unit.

    What is there is neither compared nor changed, and what was deleted here stays so: of the messages those after the
    last one that is stored are appended, of the memories likewise. Raises MalformedLineError where the conversation's
    id is another owner's.
    """
    async with UnitOfWork(database, owner_id=talk.owner_id) as uow:
        persona_id = await _persona_named(uow, talk.persona, talk.owner_id)
        row, new = await _begun(uow, talk, persona_id)
        there = Stored() if new else await Stored.of(uow, row.id, None if vectors is None else vectors.space)

        messages = following(talk.messages, there.messages)
        for start in range(0, len(messages), PORTION):
            await uow.messages.append_many(row.id, map(_message, messages[start : start + PORTION]))
        present = there.messages | {message.id for message in messages}
        memories = [
            *following(talk.memories, there.memories),
            *(memory for memory in following(episodes, there.memories) if memory.first_message_id in present),
        ]
        await uow.memories.remember_many(_memory(memory, row, present) for memory in memories)
        remembered = there.memories | {memory.id for memory in memories}

        message_vectors = memory_vectors = 0
        if vectors is not None:
            pairs = missing(vectors.messages, present, there.message_vectors)
            message_vectors = await uow.messages.embed_many(pairs, vectors.space)
            pairs = missing(vectors.memories, remembered, there.memory_vectors)
            memory_vectors = await uow.memories.embed_many(pairs, vectors.space)

    something = messages or memories or message_vectors or memory_vectors
    change = Change.NEW if new else Change.EXTENDED if something else Change.UNCHANGED
    found = talk.persona is None or persona_id is not None
    return Outcome(change, len(messages), len(memories), message_vectors, memory_vectors, found)


async def _persona_named(uow: UnitOfWork, name: str | None, owner_id: str | None) -> UUID | None:
    """The owner's persona of this name, or a shared one; the oldest of several."""
    if name is None:
        return None
    page = await uow.personas.page(name=name, limit=1_000)
    # A unit without owner sees everybody's.
    rows = [row for row in page if row.owner_id in (owner_id, None)]
    return min(rows, key=lambda row: (row.owner_id is None, row.id)).id if rows else None


async def _begun(uow: UnitOfWork, talk: ImportedConversation, persona_id: UUID | None) -> tuple[Conversation, bool]:
    """The conversation's row, locked, and whether it is new."""
    extra_data = dict(talk.extra_data)
    if talk.persona is not None and persona_id is None:
        extra_data.setdefault("persona", talk.persona)
    try:
        async with uow.nested():
            row = await uow.conversations.create(
                id=talk.id, title=talk.title, owner_id=talk.owner_id, persona_id=persona_id, extra_data=extra_data
            )
        return row, True
    except DuplicateError:
        pass
    try:
        row = await uow.conversations.lock(talk.id)
        if row.owner_id == talk.owner_id:
            return row, False
    except NotFoundError:
        pass
    raise MalformedLineError(talk.line, "id", "is that of another owner's conversation")


def _message(message: ImportedMessage) -> dict[str, object]:
    return {
        "id": message.id,
        "role": message.role,
        "content": message.content,
        "name": message.name,
        "sent_at": message.sent_at,
        "episode": message.episode,
        "tool_calls": message.tool_calls,
        "tool_call_id": message.tool_call_id,
        "input_tokens": message.input_tokens,
        "output_tokens": message.output_tokens,
        "thinking": message.thinking,
        "extra_data": message.extra_data,
    }


def _memory(memory: ImportedMemory, talk: Conversation, messages: Collection[UUID]) -> dict[str, object]:
    return {
        "id": memory.id,
        "conversation_id": talk.id,
        "persona_id": talk.persona_id,
        "first_message_id": memory.first_message_id if memory.first_message_id in messages else None,
        "content": memory.content,
        "memory_type": memory.memory_type,
        "importance": memory.importance,
        "occurred_at": memory.occurred_at,
        "extra_data": memory.extra_data,
    }
