"""How the tests of an application look: its own code, the factories, and a sandbox that is undone after each test.

In an application the first part is its code, the second its conftest.py (see docs/testing.md), the third its tests.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from database import Database, Session
from database.errors import NotFoundError
from models import Role
from repositories import UnitOfWork
from tests.factories import MessageFactory, PersonaFactory, storing_in

# The application.


async def greet(database: Database, owner_id: str, persona_id: UUID) -> UUID:
    """Open a talk with a persona, who says the first word."""
    async with UnitOfWork(database, owner_id=owner_id) as uow:
        persona = await uow.personas.get(persona_id)
        chat = await uow.conversations.create(title=f"A talk with {persona.name}", persona_id=persona.id)
        if persona.first_message:
            await uow.messages.append(chat.id, role=Role.ASSISTANT, content=persona.first_message)
        return chat.id


# Its conftest.py: a database for all tests, and what a test does in it undone.


@pytest.fixture(scope="module")
async def database(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Database]:
    folder: Path = tmp_path_factory.mktemp("application")
    async with Database(f"sqlite:///{folder}/test.db") as database:
        await database.migrate()
        yield database


@pytest.fixture
async def session(database: Database) -> AsyncIterator[Session]:
    async with database.sandbox() as session:
        with storing_in(session):
            yield session


# Its tests.


async def test_the_persona_speaks_first(database: Database, session: Session) -> None:
    persona = await PersonaFactory.create(name="Ada", first_message="Where shall we begin?")

    chat_id = await greet(database, "someone", persona.id)

    async with UnitOfWork(database, owner_id="someone") as uow:
        assert (await uow.conversations.get(chat_id)).title == "A talk with Ada"
        (said,) = await uow.messages.history(chat_id)
        assert (said.role, said.content) == (Role.ASSISTANT, "Where shall we begin?")


async def test_nobody_elses_persona_is_greeted(database: Database, session: Session) -> None:
    persona = await PersonaFactory.create(owner_id="someone else")
    with pytest.raises(NotFoundError):
        await greet(database, "someone", persona.id)


async def test_every_test_begins_with_empty_tables(database: Database, session: Session) -> None:
    for table in ("personas", "conversations", "messages"):
        assert await database.fetch_value(f"SELECT count(*) FROM {table}") == 0
    messages = await MessageFactory.create_batch(3, conversation_id__title="Old talk")
    assert len({message.conversation_id for message in messages}) == 3
