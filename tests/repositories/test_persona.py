"""Personas: what they are made of, whose they are, which modules they use, and what goes with them."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import uuid4

import pytest

from database import Database, Session
from database.errors import DuplicateError, InvalidInputError, NotFoundError
from models import Memory, Persona
from repositories.module import ModuleRepository
from repositories.persona import PersonaRepository
from tests.factories import (
    ConversationFactory,
    MemoryFactory,
    ModuleFactory,
    PersonaFactory,
    PersonaModuleFactory,
    storing_in,
)
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]


@pytest.fixture
def personas(session: Session) -> PersonaRepository:
    return PersonaRepository(session)


async def remembered(session: Session, *memories: Memory) -> list[bool]:
    """Which of the memories are still there."""
    connection = await session.core()
    found = (await connection.exec_driver_sql("SELECT content FROM conversation_memory")).scalars().all()
    return [memory.content in found for memory in memories]


async def test_create_stores_every_column(personas: PersonaRepository, statements: Counted) -> None:
    key = uuid4()
    with statements() as seen:
        made = await personas.create(
            id=key,
            name="Ada",
            template="You are Ada.",
            owner_id="ada",
            description="A mathematician.",
            mode="chat",
            loop_frequency="daily",
            first_message="Good day.",
            image_path="ada.png",
            is_active=False,
            extra_data={"born": 1815},
        )
    assert len(seen) == 1
    stored = await personas.get(key)
    assert (stored.id, stored.name, stored.template, stored.owner_id) == (key, "Ada", "You are Ada.", "ada")
    assert (stored.description, stored.mode, stored.loop_frequency) == ("A mathematician.", "chat", "daily")
    assert (stored.first_message, stored.image_path, stored.is_active) == ("Good day.", "ada.png", False)
    assert stored.extra_data == {"born": 1815}
    assert made.created_at.tzinfo is not None


@pytest.mark.parametrize(
    "field, value",
    [("name", "x" * 256), ("name", "a\0b"), ("image_path", "x" * 501), ("mode", "x" * 51), ("owner_id", "")],
)
async def test_create_refuses_bad_values_by_name(personas: PersonaRepository, field: str, value: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await personas.create(**{"name": "Ada", "template": "t", field: value})  # type: ignore[arg-type]  # text for any of them
    assert refused.value.field == field
    assert await personas.count() == 0


async def test_an_id_is_given_once(personas: PersonaRepository, session: Session) -> None:
    persona = await PersonaFactory.create()
    with pytest.raises(DuplicateError):
        async with session.nested():
            await personas.create(name="Other", template="t", id=persona.id)
    assert (await personas.get(persona.id)).name == persona.name


async def test_page_is_newest_first_and_filtered(personas: PersonaRepository, statements: Counted) -> None:
    made = [await PersonaFactory.create(name=f"P{n % 2}", is_active=n != 3) for n in range(5)]
    ids = [persona.id for persona in reversed(made)]
    with statements() as seen:
        first = await personas.page(limit=3)
    assert len(seen) == 1
    second = await personas.page(limit=3, after=first.next)
    assert [row.id for row in [*first, *second]] == ids
    assert second.next is None
    assert [row.id for row in await personas.page(is_active=False)] == [made[3].id]
    assert [row.id for row in await personas.page(is_active=True, name="P1")] == [made[1].id]


async def test_page_refuses_a_bad_filter(personas: PersonaRepository) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await personas.page(name="a\0b")
    assert refused.value.field == "name"


async def test_update_changes_the_named_columns(personas: PersonaRepository) -> None:
    persona = await PersonaFactory.create(mode="chat")
    changed = await personas.update(persona.id, name="Grace")
    assert (changed.name, changed.mode) == ("Grace", "chat")
    assert changed.updated_at > persona.created_at
    with pytest.raises(InvalidInputError):
        await personas.update(persona.id, owner_id="eve")


async def test_a_module_is_added_once(personas: PersonaRepository, statements: Counted) -> None:
    persona, module = await PersonaFactory.create(), await ModuleFactory.create()
    with statements() as seen:
        await personas.add_module(persona.id, module.id)
    assert len(seen) == 1
    with statements() as seen:
        await personas.add_module(persona.id, module.id)
    assert len(seen) == 1
    assert [row.id for row in await personas.modules(persona.id)] == [module.id]
    assert [row.id for row in (await personas.get(persona.id, load=["modules"])).modules] == [module.id]


async def test_add_module_names_what_is_missing(personas: PersonaRepository) -> None:
    persona, module = await PersonaFactory.create(), await ModuleFactory.create()
    with pytest.raises(NotFoundError) as missing:
        await personas.add_module(persona.id, uuid4())
    assert missing.value.model == "Module"
    with pytest.raises(NotFoundError) as missing:
        await personas.add_module(uuid4(), module.id)
    assert missing.value.model == "Persona"


async def test_remove_module(personas: PersonaRepository, statements: Counted) -> None:
    use = await PersonaModuleFactory.create()
    with statements() as seen:
        assert await personas.remove_module(use.persona_id, use.module_id)
    assert len(seen) == 1
    assert not await personas.remove_module(use.persona_id, use.module_id)
    assert await personas.modules(use.persona_id) == []


async def test_modules_come_by_priority_active_or_not(personas: PersonaRepository, statements: Counted) -> None:
    persona = await PersonaFactory.create()
    made = [
        await ModuleFactory.create(stage_priority=priority, is_active=priority != 5) for priority in (100, 5, 100, -1)
    ]
    for module in reversed(made):
        await PersonaModuleFactory.create(persona_id=persona.id, module_id=module.id)
    await PersonaModuleFactory.create()
    with statements() as seen:
        found = await personas.modules(persona.id)
    assert len(seen) == 1
    assert [module.id for module in found] == [made[3].id, made[1].id, made[0].id, made[2].id]
    assert await personas.modules(uuid4()) == []


async def test_delete_takes_the_memories_of_no_conversation(
    personas: PersonaRepository, session: Session, statements: Counted
) -> None:
    persona, other = await PersonaFactory.create_batch(2)
    own = await MemoryFactory.create(conversation_id=None, persona_id=persona.id)
    owned = await MemoryFactory.create(conversation_id=None, persona_id=persona.id, owner_id="bob")
    talked = await MemoryFactory.create(persona_id=persona.id)
    others = await MemoryFactory.create(conversation_id=None, persona_id=other.id)
    nobodys = await MemoryFactory.create(conversation_id=None)
    talk = await ConversationFactory.create(persona_id=persona.id)
    with statements() as seen:
        assert await personas.delete(persona.id)
    assert len(seen) == 3
    assert await remembered(session, own, owned, talked, others, nobodys) == [False, False, True, True, True]
    await session.refresh(talk)
    await session.refresh(talked)
    assert talk.persona_id is None
    assert talked.persona_id is None
    with statements() as seen:
        assert not await personas.delete(persona.id)
    assert len(seen) == 1


async def test_delete_many_counts_what_was_there(personas: PersonaRepository, session: Session) -> None:
    made = await PersonaFactory.create_batch(3)
    memories = [await MemoryFactory.create(conversation_id=None, persona_id=persona.id) for persona in made]
    assert await personas.delete_many([made[0].id, made[1].id, uuid4()]) == 2
    assert await remembered(session, *memories) == [False, False, True]
    assert await personas.delete_many([]) == 0


async def test_a_memory_made_meanwhile_goes_too(fresh_database: Database) -> None:
    """A delete waits for a unit that is adding a memory, and takes that one as well."""
    async with fresh_database.transaction() as session:
        persona = await PersonaFactory.create(session)

    async def delete() -> None:
        async with fresh_database.transaction() as session:
            await PersonaRepository(session).delete(persona.id)

    async with fresh_database.transaction() as session:
        memory = await MemoryFactory.create(session, conversation_id=None, persona_id=persona.id)
        deleting = asyncio.create_task(delete())
        await asyncio.sleep(0.3)
    await deleting
    async with fresh_database.session() as session:
        assert await remembered(session, memory) == [False]


async def test_shared_personas_are_seen_and_not_changed(session: Session, database: Database) -> None:
    shared, hers = await PersonaFactory.create(), await PersonaFactory.create(owner_id="ada")
    tool, his_tool = await ModuleFactory.create(), await ModuleFactory.create(owner_id="bob")
    memory = await MemoryFactory.create(conversation_id=None, persona_id=shared.id)
    async with database.transaction(owner_id="ada") as adas:
        personas = PersonaRepository(adas)
        assert {row.id for row in await personas.page()} == {shared.id, hers.id}
        with pytest.raises(NotFoundError):
            await personas.update(shared.id, name="Mine")
        assert not await personas.delete(shared.id)
        with pytest.raises(NotFoundError):
            await personas.add_module(shared.id, tool.id)
        with pytest.raises(NotFoundError):
            await personas.add_module(hers.id, his_tool.id)
        await personas.add_module(hers.id, tool.id)
        made = await personas.create(name="Mine", template="t")
        assert made.owner_id == "ada"
        with pytest.raises(InvalidInputError):
            await personas.create(name="His", template="t", owner_id="bob")
    async with database.transaction(owner_id="bob") as bobs:
        assert [row.id for row in await PersonaRepository(bobs).page()] == [shared.id]
        assert await PersonaRepository(bobs).modules(hers.id) == []
    assert await remembered(session, memory) == [True]


async def test_another_owners_module_is_not_shown(session: Session, database: Database) -> None:
    hers = await PersonaFactory.create(owner_id="ada")
    his_tool = await ModuleFactory.create(owner_id="bob")
    with storing_in(session):
        await PersonaModuleFactory.create(persona_id=hers.id, module_id=his_tool.id)
    async with database.session(owner_id="ada") as adas:
        assert await PersonaRepository(adas).modules(hers.id) == []
        assert [len(stage) for stage in await ModuleRepository(adas).stages(hers.id)] == [0] * 5


async def test_the_repr_of_a_persona_shows_its_key_alone(personas: PersonaRepository) -> None:
    persona: Persona = await PersonaFactory.create(template="SECRET")
    assert "SECRET" not in repr(await personas.get(persona.id))
