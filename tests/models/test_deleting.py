"""Deletes cascade in the database: what belongs to a row goes with it, what only points at it stays."""

import pytest
import sqlalchemy as sa

from database import Session
from models import Base, Conversation, metadata
from tests.factories import (
    ArtifactFactory,
    ConversationFactory,
    EmbeddingFactory,
    EmbeddingSpaceFactory,
    LLMCallFactory,
    MemoryEmbeddingFactory,
    MemoryFactory,
    MessageEmbeddingFactory,
    MessageFactory,
    ModuleFactory,
    PersonaFactory,
    PersonaModuleFactory,
    RunFactory,
    StateFactory,
    StepFactory,
)
from tests.models.catalogue import FACTORIES, count, table_of

CASCADES = "CASCADE"
FORGETS = "SET NULL"

# (table, column) -> what a delete of the row it points at does to the row.
RULES = {
    ("persona_modules", "persona_id"): CASCADES,
    ("persona_modules", "module_id"): CASCADES,
    ("conversations", "persona_id"): FORGETS,
    ("messages", "conversation_id"): CASCADES,
    ("message_embeddings", "message_id"): CASCADES,
    ("message_embeddings", "embedding_space_id"): CASCADES,
    ("conversation_states", "conversation_id"): CASCADES,
    ("conversation_states", "persona_id"): CASCADES,
    ("conversation_states", "module_id"): CASCADES,
    ("conversation_memory", "conversation_id"): CASCADES,
    ("conversation_memory", "persona_id"): FORGETS,
    ("conversation_memory", "first_message_id"): FORGETS,
    ("memory_embeddings", "memory_id"): CASCADES,
    ("memory_embeddings", "embedding_space_id"): CASCADES,
    ("embeddings", "embedding_space_id"): CASCADES,
    ("runs", "conversation_id"): FORGETS,
    ("steps", "run_id"): CASCADES,
    ("artifacts", "run_id"): CASCADES,
    ("artifacts", "step_id"): FORGETS,
    ("llm_calls", "run_id"): CASCADES,
    ("llm_calls", "step_id"): FORGETS,
    ("llm_calls", "message_id"): FORGETS,
    ("llm_calls", "conversation_id"): FORGETS,
}


def parent_table(table: str, column: str) -> str:
    (key,) = metadata.tables[table].columns[column].foreign_keys
    return key.column.table.name


async def delete(session: Session, entity: Base) -> None:
    """By the database alone: nothing is loaded into Python."""
    table = table_of(entity)
    connection = await session.core()
    await connection.execute(sa.delete(table).where(table.c.id == entity.id))  # type: ignore[attr-defined]  # parents have an id


def test_the_rules_name_every_foreign_key() -> None:
    there = {(table.name, key.parent.name) for table in metadata.tables.values() for key in table.foreign_keys}
    assert there == set(RULES)


@pytest.mark.parametrize(("table", "column"), sorted(RULES))
async def test_row_goes_or_stays_when_its_parent_is_deleted(session: Session, table: str, column: str) -> None:
    parent = await FACTORIES[parent_table(table, column)].create()
    child = await FACTORIES[table].create(**{column: parent.id})
    kept = await FACTORIES[table].create()
    await delete(session, parent)
    rows = (await (await session.core()).execute(sa.select(metadata.tables[table].c[column]))).scalars().all()
    if RULES[table, column] == CASCADES:
        assert list(rows) == [getattr(kept, column)]
    else:
        assert getattr(child, column) == parent.id
        assert list(rows) == [None, getattr(kept, column)]


async def talk(session: Session, space_id: object) -> Conversation:
    """A conversation with something in every table that can point at it."""
    persona, module = await PersonaFactory.create(), await ModuleFactory.create()
    chat = await ConversationFactory.create(persona_id=persona.id)
    run = await RunFactory.create(conversation_id=chat.id)
    step = await StepFactory.create(run_id=run.id)
    await ArtifactFactory.create(run_id=run.id, step_id=step.id)
    await PersonaModuleFactory.create(persona_id=persona.id, module_id=module.id)
    await StateFactory.create(conversation_id=chat.id)
    await StateFactory.create(conversation_id=chat.id, persona_id=persona.id, module_id=module.id)
    await EmbeddingFactory.create(embedding_space_id=space_id)
    for _ in range(10):
        message = await MessageFactory.create(conversation_id=chat.id)
        memory = await MemoryFactory.create(conversation_id=chat.id, persona_id=persona.id, first_message_id=message.id)
        await MessageEmbeddingFactory.create(message_id=message.id, embedding_space_id=space_id)
        await MemoryEmbeddingFactory.create(memory_id=memory.id, embedding_space_id=space_id)
        await LLMCallFactory.create(conversation_id=chat.id, message_id=message.id, run_id=run.id, step_id=step.id)
    return chat


async def test_nothing_of_a_deleted_conversation_is_left(session: Session) -> None:
    space = await EmbeddingSpaceFactory.create()
    chat, other = await talk(session, space.id), await talk(session, space.id)
    before = {name: await count(session, name) for name in metadata.tables}
    assert all(before.values())

    await delete(session, chat)

    after = {name: await count(session, name) for name in metadata.tables}
    gone = {"conversations", "messages", "message_embeddings", "conversation_states", "conversation_memory"}
    gone |= {"memory_embeddings"}
    assert after == {name: number // 2 if name in gone else number for name, number in before.items()}
    connection = await session.core()
    for table in ("runs", "llm_calls"):
        column = metadata.tables[table].c.conversation_id
        pointers = (await connection.execute(sa.select(column).distinct())).scalars().all()
        assert set(pointers) == {None, other.id}


async def test_a_deleted_run_takes_its_record_with_it(session: Session) -> None:
    space = await EmbeddingSpaceFactory.create()
    await talk(session, space.id)
    run = await RunFactory.create()
    step = await StepFactory.create(run_id=run.id)
    await ArtifactFactory.create(run_id=run.id, step_id=step.id)
    await LLMCallFactory.create(run_id=run.id, step_id=step.id)
    before = {name: await count(session, name) for name in metadata.tables}
    await delete(session, run)
    after = {name: await count(session, name) for name in metadata.tables}
    less = {"runs", "steps", "artifacts", "llm_calls"}
    assert after == {name: number - (name in less) for name, number in before.items()}
