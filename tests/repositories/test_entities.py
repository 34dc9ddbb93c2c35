"""What a verb returns is the session's own, whichever way its row came: the same again, and its changes are kept."""

import gc
import weakref
from uuid import uuid4

import pytest
from pydantic import ValidationError

from database import Database
from database.entities import MOST
from database.errors import DuplicateError, TransactionError
from models import Memory
from repositories import UnitOfWork


async def test_a_change_of_what_was_made_is_stored_with_the_unit(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database) as uow:
        memory = await uow.memories.remember("Ada lives in Oslo.")
        run = await uow.runs.save(actor="researcher")
        memory.content = "Ada lives in Bergen."
        before = run.updated_at
    async with UnitOfWork(fresh_database, read_only=True) as uow:
        stored = await uow.memories.get(memory.id)
        assert (stored.content, stored is memory) == ("Ada lives in Bergen.", False)
        assert stored.updated_at > stored.created_at
        assert (await uow.runs.get(run.id)).updated_at == before


async def test_a_change_is_there_for_the_next_statement(uow: UnitOfWork) -> None:
    memory = await uow.memories.remember("Ada lives in Oslo.")
    memory.importance = 0.9
    assert await uow.fetch_value("SELECT importance FROM conversation_memory WHERE id = :id", {"id": memory.id}) == 0.9
    again = await uow.memories.update(memory.id, memory_type="semantic")
    assert again is memory
    assert (memory.importance, memory.memory_type) == (0.9, "semantic")


async def test_a_change_of_what_nobody_holds_is_stored(fresh_database: Database) -> None:
    ids = []
    async with UnitOfWork(fresh_database) as uow:
        for number in range(MOST + 5):
            memory = await uow.memories.remember(f"memory {number}")
            ids.append(memory.id)
            memory.importance = 0.9
            del memory
    async with UnitOfWork(fresh_database, read_only=True) as uow:
        assert {memory.importance for memory in await uow.memories.get_many(ids)} == {0.9}
        assert await uow.memories.count() == MOST + 5


async def test_one_row_is_one_object(uow: UnitOfWork) -> None:
    made = await uow.runs.save(id=uuid4(), actor="a")
    saved = await uow.runs.save(id=made.id, actor="b", status="running")
    updated = await uow.runs.update(made.id, result=[1])
    assert saved is updated is made
    assert (made.actor, made.status, made.result) == ("b", "running", [1])
    # From here on SQLAlchemy's session has it.
    assert await uow.runs.get(made.id) is made
    assert await uow.runs.finish(made.id, "succeeded") is made
    assert made.status == "succeeded"
    assert made in uow.session
    assert not uow.session.dirty


async def test_a_change_in_a_savepoint_is_undone_with_it(uow: UnitOfWork) -> None:
    memory = await uow.memories.remember("Ada lives in Oslo.")
    key = memory.id

    async def moved() -> None:
        async with uow.nested():
            memory.content = "Ada lives in Bergen."
            await uow.memories.remember("Ada moved.")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await moved()
    assert await uow.memories.get(key) is memory
    assert memory.content == "Ada lives in Oslo."
    assert await uow.memories.count() == 1


async def test_a_refused_change_is_none(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database) as uow:
        memory = await uow.memories.remember("Ada lives in Oslo.")
        with pytest.raises(ValidationError):
            memory.importance = 7
    async with UnitOfWork(fresh_database, read_only=True) as uow:
        stored = await uow.memories.get(memory.id)
        assert (stored.importance, stored.updated_at) == (0.5, memory.updated_at)


async def test_what_was_made_is_anothers_to_change_afterwards(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database) as uow:
        memory = await uow.memories.remember("Ada lives in Oslo.")
    memory.content = "Ada lives in Bergen."
    async with UnitOfWork(fresh_database) as uow:
        uow.session.add(memory)
    async with UnitOfWork(fresh_database, read_only=True) as uow:
        assert (await uow.memories.get(memory.id)).content == "Ada lives in Bergen."


async def test_a_broken_unit_takes_no_change(fresh_database: Database) -> None:
    async def twice() -> None:
        async with UnitOfWork(fresh_database) as uow:
            memory = await uow.memories.remember("Ada lives in Oslo.")
            with pytest.raises(DuplicateError):
                await uow.memories.remember("Ada lives in Oslo.", id=memory.id)
            memory.content = "Ada lives in Bergen."

    with pytest.raises(TransactionError):
        await twice()
    async with UnitOfWork(fresh_database, read_only=True) as uow:
        assert await uow.memories.count() == 0


async def test_a_unit_that_makes_many_does_not_hold_them(uow: UnitOfWork) -> None:
    made: list[weakref.ref[Memory]] = []
    for number in range(MOST + 20):
        made.append(weakref.ref(await uow.memories.remember(f"memory {number}")))
    gc.collect()
    assert sum(memory() is not None for memory in made) <= MOST
