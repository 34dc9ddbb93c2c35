"""States: one value for one binding and key, a version for each write."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import product
from uuid import uuid4

import pytest

from database import Database, Session
from database.errors import InvalidInputError, MissingReferenceError, NotFoundError, StaleVersionError
from models import Conversation
from repositories.conversation import ConversationRepository
from repositories.persona import PersonaRepository
from repositories.state import StateRepository
from tests.factories import ConversationFactory, ModuleFactory, PersonaFactory
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]


@pytest.fixture
def states(session: Session) -> StateRepository:
    return StateRepository(session)


@pytest.fixture
async def talk(session: Session) -> Conversation:
    return await ConversationFactory.create(session)


async def test_set_writes_and_counts_versions(states: StateRepository, talk: Conversation, statements: Counted) -> None:
    with statements() as seen:
        first = await states.set(talk.id, "mood", {"joy": 3})
        again = await states.set(talk.id, "mood", "calm")
    assert len(seen) == 2
    assert (first.state_value, first.version) == ({"joy": 3}, 1)
    assert (again.state_value, again.version) == ("calm", 2)
    with statements() as seen:
        assert await states.get(talk.id, "mood") == again
    assert len(seen) == 1


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, [None], {"a": {"b": [1.5, "ü"]}}])
async def test_every_json_value_is_one(states: StateRepository, talk: Conversation, value: object) -> None:
    await states.set(talk.id, "key", value)
    assert (await states.get(talk.id, "key")).state_value == value
    assert await states.mapping(talk.id) == {"key": value}


async def test_bindings_are_apart_and_nulls_are_equal(
    states: StateRepository, talk: Conversation, session: Session
) -> None:
    persona, module = await PersonaFactory.create(session), await ModuleFactory.create(session)
    bindings = list(product([None, persona.id], [None, module.id]))
    for number, (persona_id, module_id) in enumerate(bindings * 2):
        await states.set(talk.id, "key", number, persona_id=persona_id, module_id=module_id)
    for number, (persona_id, module_id) in enumerate(bindings, start=len(bindings)):
        state = await states.get(talk.id, "key", persona_id=persona_id, module_id=module_id)
        assert (state.state_value, state.version) == (number, 2)
        assert (state.persona_id, state.module_id) == (persona_id, module_id)
        assert await states.mapping(talk.id, persona_id=persona_id, module_id=module_id) == {"key": number}
    assert len(await states.records(talk.id)) == len(bindings)
    assert await states.delete(talk.id, "key", persona_id=persona.id)
    assert not await states.delete(talk.id, "key", persona_id=persona.id)
    assert len(await states.records(talk.id)) == len(bindings) - 1
    assert await PersonaRepository(session).delete(persona.id)
    assert {state.persona_id for state in await states.records(talk.id)} == {None}


async def test_compare_and_set(states: StateRepository, talk: Conversation, statements: Counted) -> None:
    with statements() as seen:
        first = await states.compare_and_set(talk.id, "key", 1, version=0)
        second = await states.compare_and_set(talk.id, "key", 2, version=1)
    assert len(seen) == 2
    assert (first.version, second.version) == (1, 2)
    for stale in (0, 1, 3):
        with pytest.raises(StaleVersionError):
            await states.compare_and_set(talk.id, "key", 9, version=stale)
    with pytest.raises(StaleVersionError):
        await states.compare_and_set(talk.id, "absent", 9, version=1)
    assert (await states.get(talk.id, "key")).state_value == 2


async def test_what_is_not_there(states: StateRepository, talk: Conversation) -> None:
    assert await states.get_or_none(talk.id, "key") is None
    assert await states.mapping(uuid4()) == {}
    with pytest.raises(NotFoundError):
        await states.get(talk.id, "key")
    with pytest.raises(NotFoundError):
        await states.set(uuid4(), "key", 1)
    with pytest.raises(StaleVersionError):
        await states.compare_and_set(uuid4(), "key", 1, version=0)


async def test_a_persona_that_does_not_exist(fresh_database: Database) -> None:
    async with fresh_database.transaction() as session:
        talk = await ConversationRepository(session).create(title="x")
        with pytest.raises(MissingReferenceError):
            async with session.nested():
                await StateRepository(session).set(talk.id, "key", 1, persona_id=uuid4())
    async with fresh_database.transaction(owner_id="ada") as session:
        own = await ConversationRepository(session).create(title="x")
        with pytest.raises(MissingReferenceError):
            await StateRepository(session).set(own.id, "key", 1, persona_id=uuid4())


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("state_key", {"key": "x" * 256}),
        ("state_key", {"key": "a\0"}),
        ("state_value", {"value": float("nan")}),
        ("state_value", {"value": {"a": object()}}),
        ("state_value", {"value": ["\ud800"]}),
        ("persona_id", {"persona_id": "nobody"}),
    ],
)
async def test_bad_input_is_refused_by_its_field(
    states: StateRepository, talk: Conversation, field: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await states.set(talk.id, **{"key": "key", "value": 1, **arguments})  # type: ignore[arg-type]  # wrong types
    assert refused.value.field == field


async def test_another_owners_states_are_not_there(fresh_database: Database) -> None:
    async with fresh_database.transaction(owner_id="bob") as session:
        talk = await ConversationRepository(session).create(title="Bob's")
        before = await StateRepository(session).set(talk.id, "key", "secret")
    async with fresh_database.transaction(owner_id="ada") as session:
        states = StateRepository(session)
        with pytest.raises(NotFoundError):
            await states.set(talk.id, "key", 1)
        for version in (0, 1):
            with pytest.raises(StaleVersionError):
                await states.compare_and_set(talk.id, "key", 1, version=version)
        assert not await states.delete(talk.id, "key")
        assert await states.get_or_none(talk.id, "key") is None
        assert await states.mapping(talk.id) == {}
        assert await states.records(talk.id) == []
    async with fresh_database.session(owner_id="bob") as session:
        assert await StateRepository(session).get(talk.id, "key") == before
