"""The factories make what the repositories would: valid rows, true counters, parents of their own."""

import pytest
import sqlalchemy as sa
from sqlmodel import select

from database import Database, Session
from models import Conversation, Memory, Message, Persona, Role
from repositories import UnitOfWork
from tests.factories import (
    ArtifactFactory,
    ConversationFactory,
    MemoryFactory,
    MessageFactory,
    PersonaFactory,
    PersonaModuleFactory,
    StepFactory,
    storing_in,
)
from tests.models.catalogue import FACTORIES, count


@pytest.mark.parametrize("table", sorted(FACTORIES))
async def test_each_makes_a_row_and_its_parents(session: Session, table: str) -> None:
    made = await FACTORIES[table].create()
    assert await count(session, table) == 1
    assert made in session
    first, second = await FACTORIES[table].create_batch(2)
    assert first is not second
    assert await count(session, table) == 3


@pytest.mark.parametrize("table", sorted(FACTORIES))
def test_each_builds_without_a_database(table: str) -> None:
    assert FACTORIES[table].build() is not None
    assert len(FACTORIES[table].build_batch(2)) == 2


async def test_a_parent_is_given_or_made_with_its_fields(session: Session) -> None:
    persona = await PersonaFactory.create()
    use = await PersonaModuleFactory.create(persona_id=persona.id, module_id__name="Rhymes")
    assert use.persona_id == persona.id
    assert await count(session, "personas") == await count(session, "modules") == 1
    message = await MessageFactory.create(conversation_id__title="Named", conversation_id__owner_id="ada")
    chat = await session.get_one(Conversation, message.conversation_id)
    assert (chat.title, chat.owner_id) == ("Named", "ada")


async def test_messages_are_counted_in_their_conversation(session: Session) -> None:
    chat = await ConversationFactory.create()
    messages = await MessageFactory.create_batch(3, conversation_id=chat.id, input_tokens=5)
    assert [message.position for message in messages] == [1, 2, 3]
    await MessageFactory.create(conversation_id=chat.id, position=9, output_tokens=2, episode=4)
    assert (chat.last_position, chat.message_count, chat.last_episode) == (9, 4, 4)
    assert (chat.input_tokens, chat.output_tokens) == (15, 2)
    assert (await MessageFactory.create(conversation_id=chat.id)).position == 10


async def test_a_repository_goes_on_where_a_factory_stopped(uow: UnitOfWork) -> None:
    chat = await ConversationFactory.create()
    made = await MessageFactory.create(conversation_id=chat.id, role=Role.USER, content="Hello")
    again = await uow.messages.append(chat.id, role=Role.USER, content="Hello", id=made.id)
    assert again.position == made.position == 1
    assert (await uow.messages.append(chat.id, role=Role.ASSISTANT, content="Hi")).position == 2
    assert (await MessageFactory.create(conversation_id=chat.id)).position == 3
    refreshed = await uow.conversations.get(chat.id)
    assert (refreshed.message_count, refreshed.last_position) == (3, 3)


async def test_a_memory_is_its_conversations_owners(session: Session) -> None:
    memory = await MemoryFactory.create(conversation_id__owner_id="ada")
    assert memory.owner_id == "ada"
    across = await MemoryFactory.create(conversation_id=None, owner_id="bob")
    assert (across.conversation_id, across.owner_id) == (None, "bob")
    assert await count(session, "conversations") == 1


async def test_steps_are_counted_in_their_run(session: Session) -> None:
    first = await StepFactory.create()
    second = await StepFactory.create(run_id=first.run_id)
    assert (first.position, second.position) == (1, 2)
    artifact = await ArtifactFactory.create(run_id=first.run_id, name="notes.txt")
    assert artifact.url == "https://files.example/notes.txt"


async def test_the_session_is_given_or_that_of_the_test(fresh_database: Database) -> None:
    with pytest.raises(LookupError):
        await PersonaFactory.create()
    async with fresh_database.transaction() as session:
        await PersonaFactory.create(session, name="given")
        with storing_in(session):
            await PersonaFactory.create(name="of the block")
            await MemoryFactory.create_batch(2)
    async with fresh_database.session() as session:
        names = (await session.exec(select(Persona.name))).all()
        assert sorted(names) == ["given", "of the block"]
        assert (await session.exec(select(sa.func.count()).select_from(Memory))).one() == 2
        assert (await session.exec(select(Message))).all() == []
