"""The database itself holds what is unique and what refers to what, with the same error on both."""

from typing import Any

import pytest
import sqlalchemy as sa

from database import Session
from database.errors import DuplicateError, MissingReferenceError
from models import SpaceStatus, metadata, new_id
from tests.factories import (
    ConversationFactory,
    EmbeddingFactory,
    EmbeddingSpaceFactory,
    MessageFactory,
    ModuleFactory,
    PersonaFactory,
    RunFactory,
    StateFactory,
    StepFactory,
)
from tests.models.catalogue import FACTORIES, insert

REFERENCES = sorted(table.name for table in metadata.tables.values() if table.foreign_keys)


@pytest.mark.parametrize("table", sorted(FACTORIES))
async def test_key_is_unique(session: Session, table: str) -> None:
    first = await FACTORIES[table].create()
    others: dict[str, Any] = {}
    if table == "embedding_spaces":
        others = {"name": "another"}
    if table in ("messages", "steps"):
        others = {"position": 2}
    if table == "embeddings":
        others = {"chunk": 1}
    if table == "conversation_states":
        others = {"state_key": "another"}
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, first, **others)
    assert caught.value.constraint == f"pk_{table}"


async def test_position_is_unique_in_its_conversation(session: Session) -> None:
    message = await MessageFactory.create(position=7)
    await MessageFactory.create(position=7)
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, message, id=new_id())
    assert caught.value.constraint == "uq_messages_conversation_id_position"


async def test_position_is_unique_in_its_run(session: Session) -> None:
    step = await StepFactory.create(position=7)
    await StepFactory.create(position=7)
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, step, id=new_id())
    assert caught.value.constraint == "uq_steps_run_id_position"


@pytest.mark.parametrize("with_persona", [False, True])
@pytest.mark.parametrize("with_module", [False, True])
async def test_state_key_is_unique_where_two_nulls_are_equal(
    session: Session, with_persona: bool, with_module: bool
) -> None:
    state = await StateFactory.create(
        persona_id=(await PersonaFactory.create()).id if with_persona else None,
        module_id=(await ModuleFactory.create()).id if with_module else None,
    )
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, state, id=new_id())
    assert caught.value.constraint == "uq_conversation_states_key"
    await insert(session, state, id=new_id(), state_key="another")
    await insert(session, state, id=new_id(), persona_id=(await PersonaFactory.create()).id)
    await insert(session, state, id=new_id(), module_id=(await ModuleFactory.create()).id)
    await insert(session, state, id=new_id(), conversation_id=(await ConversationFactory.create()).id)


async def test_space_name_is_unique(session: Session) -> None:
    space = await EmbeddingSpaceFactory.create()
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, space, id=new_id())
    assert caught.value.constraint == "uq_embedding_spaces_name"


async def test_one_space_is_active(session: Session) -> None:
    active = await EmbeddingSpaceFactory.create(status=SpaceStatus.ACTIVE)
    with pytest.raises(DuplicateError):
        async with session.nested():
            await insert(session, active, id=new_id(), name="another")
    for status in (SpaceStatus.BUILDING, SpaceStatus.RETIRED):
        for n in range(2):
            await insert(session, active, id=new_id(), name=f"{status} {n}", status=status)


async def test_source_is_unique_by_chunk_space_and_owner(session: Session) -> None:
    shared = await EmbeddingFactory.create()
    owned = await EmbeddingFactory.create(owner_id="ada")
    for embedding in (shared, owned):
        with pytest.raises(DuplicateError) as caught:
            async with session.nested():
                await insert(session, embedding, id=new_id())
        assert caught.value.constraint == "uq_embeddings_source"
    for change in ({"chunk": 1}, {"owner_id": "bob"}, {"source_id": "other"}, {"source_type": "other"}):
        await insert(session, shared, id=new_id(), **change)
    space = await EmbeddingSpaceFactory.create()
    await insert(session, shared, id=new_id(), embedding_space_id=space.id)


async def test_trace_is_unique(session: Session) -> None:
    run = await RunFactory.create(trace_id="4bf92f35")
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, run, id=new_id())
    assert caught.value.constraint == "uq_runs_trace_id"
    await RunFactory.create_batch(2, trace_id=None)


@pytest.mark.parametrize("owner_id", [None, "ada"])
async def test_idempotency_key_is_unique_for_its_owner(session: Session, owner_id: str | None) -> None:
    run = await RunFactory.create(idempotency_key="order-7", owner_id=owner_id)
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, run, id=new_id())
    assert caught.value.constraint == "uq_runs_idempotency_key"
    await RunFactory.create(idempotency_key="order-7", owner_id="bob")
    await RunFactory.create_batch(2, idempotency_key=None, owner_id=owner_id)


def test_the_cases_name_every_unique_rule() -> None:
    rules = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, sa.UniqueConstraint)
    } | {str(index.name) for table in metadata.tables.values() for index in table.indexes if index.unique}
    assert rules == {
        "uq_messages_conversation_id_position",
        "uq_steps_run_id_position",
        "uq_conversation_states_key",
        "uq_embedding_spaces_name",
        "uq_embedding_spaces_active",
        "uq_embeddings_source",
        "uq_runs_trace_id",
        "uq_runs_idempotency_key",
    }


@pytest.mark.parametrize("table", REFERENCES)
async def test_reference_has_its_row(session: Session, table: str) -> None:
    await FACTORIES[table].create()
    connection = await session.core()
    for key in metadata.tables[table].foreign_keys:
        nowhere = sa.update(metadata.tables[table]).values({key.parent.name: new_id()})
        with pytest.raises(MissingReferenceError):
            async with session.nested():
                await connection.execute(nowhere)
