"""Memories: remembered for the right owner, recalled by vector, touched, forgotten."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from database import Database, Session
from database.errors import (
    DimensionError,
    DuplicateError,
    InvalidInputError,
    MissingReferenceError,
    NotFoundError,
    ReadOnlyError,
)
from models import EmbeddingSpace, Memory, MemoryType
from repositories import ConversationRepository, EmbeddingSpaceRepository, MemoryRepository, UnitOfWork
from repositories.validation import Row
from tests.factories import (
    ConversationFactory,
    EmbeddingSpaceFactory,
    MemoryEmbeddingFactory,
    MemoryFactory,
    MessageFactory,
    PersonaFactory,
)
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EAST, NORTH, UP = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]


@pytest.fixture
def memories(session: Session) -> MemoryRepository:
    return MemoryRepository(session)


@pytest.fixture
async def space(session: Session) -> EmbeddingSpace:
    space = await EmbeddingSpaceFactory.create(session)
    return await EmbeddingSpaceRepository(session).activate(space.id)


async def test_remember_keeps_what_is_given(memories: MemoryRepository, session: Session) -> None:
    message = await MessageFactory.create(session)
    persona = await PersonaFactory.create(session)
    key = uuid4()
    memory = await memories.remember(
        "She lives in Oslo.",
        conversation_id=message.conversation_id,
        persona_id=persona.id,
        first_message_id=message.id,
        memory_type=MemoryType.SEMANTIC,
        importance=0.9,
        occurred_at=NOON,
        extra_data={"place": "Oslo"},
        id=key,
    )
    found = await memories.get(key)
    assert found is memory
    assert (found.content, found.memory_type, found.importance) == ("She lives in Oslo.", "semantic", 0.9)
    assert (found.occurred_at, found.extra_data) == (NOON, {"place": "Oslo"})
    assert (found.first_message_id, found.persona_id) == (message.id, persona.id)
    assert (found.access_count, found.last_accessed_at) == (0, None)
    with pytest.raises(DuplicateError):
        async with session.nested():
            await memories.remember("Again.", id=key)


async def test_each_verb_takes_few_statements(
    memories: MemoryRepository, session: Session, space: EmbeddingSpace, statements: Counted, backend: str
) -> None:
    talk = await ConversationFactory.create(session)
    with_vector = 1 if backend == "postgresql" else 2
    with statements() as seen:
        await memories.remember("alone")
    assert len(seen) == 1
    with statements() as seen:
        first = await memories.remember("of a talk", conversation_id=talk.id)
    assert len(seen) == 1
    with statements() as seen:
        await memories.remember("of a talk, with a vector", conversation_id=talk.id, vector=EAST, space=space)
    assert len(seen) == with_vector
    with statements() as seen:
        await memories.remember("with a vector of the active space", vector=NORTH)
    assert len(seen) == 1 + with_vector
    with statements() as seen:
        await memories.embed(first.id, UP, space)
    assert len(seen) == 1
    with statements() as seen:
        await memories.recall(EAST, space=space, conversation_id=talk.id)
    assert len(seen) == 1
    with statements() as seen:
        await memories.recall(EAST, mode="exact", touch=True)
    assert len(seen) == 3
    with statements() as seen:
        await memories.touch([first.id])
        await memories.forget(conversation_id=talk.id)
        await memories.count(memory_type="episodic")
        await memories.page(conversation_id=talk.id)
    assert len(seen) == 4


async def test_many_are_remembered_in_a_few_statements(
    memories: MemoryRepository, session: Session, space: EmbeddingSpace, statements: Counted
) -> None:
    talk = await ConversationFactory.create(session, owner_id="ada")
    keys = [uuid4() for _ in range(1_001)]
    rows = (
        {"id": key, "content": f"memory {number}", "conversation_id": talk.id, "vector": EAST if number % 2 else None}
        for number, key in enumerate(keys)
    )
    with statements() as seen:
        assert await memories.remember_many(rows) == keys
    # The active space; for each 500 the talk's owner, the memories and the vectors; the last one has no vector.
    assert len(seen) == 1 + 3 + 3 + 2
    assert await memories.count(conversation_id=talk.id) == 1_001
    assert len(await memories.recall(EAST, limit=1_000)) == 500
    assert {memory.owner_id for memory in (await memories.page(limit=1_000)).rows} == {"ada"}


async def test_a_stream_reads_all_in_order(memories: MemoryRepository, statements: Counted) -> None:
    ids = await memories.remember_many({"content": str(number)} for number in range(1_001))
    await memories.remember("of another kind", memory_type="summary")
    with statements() as seen:
        found = [memory async for memory in memories.stream(memory_type="episodic")]
    assert len(seen) == 3
    assert [memory.id for memory in found] == sorted(ids)
    assert [memory.content for memory in found] == [str(number) for number in range(1_001)]
    assert "content" not in repr(found[0])


@pytest.mark.parametrize(
    "field, values",
    [
        ("content", {"content": "a\0b"}),
        ("content", {"content": "x" * 1_000_001}),
        ("importance", {"content": "x", "importance": 1.1}),
        ("importance", {"content": "x", "importance": float("nan")}),
        ("memory_type", {"content": "x", "memory_type": "y" * 51}),
        ("occurred_at", {"content": "x", "occurred_at": NOON.replace(tzinfo=None)}),
        ("extra_data", {"content": "x", "extra_data": {"a": float("inf")}}),
        ("persona_id", {"content": "x", "persona_id": "Ada"}),
        ("vector", {"content": "x", "vector": [0.0, 0.0, 0.0]}),
        ("vector", {"content": "x", "vector": [1.0, float("nan"), 0.0]}),
        ("vector", {"content": "x", "vector": [1e39, 0.0, 0.0]}),
        ("vector", {"content": "x", "vector": [70_000.0, 0.0, 0.0]}),
        ("vector", {"content": "x", "vector": [1e-9, 0.0, 0.0]}),
        ("vector", {"content": "x", "vector": "abc"}),
    ],
)
async def test_bad_input_is_refused_by_its_name(
    memories: MemoryRepository, space: EmbeddingSpace, field: str, values: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await memories.remember(**values)
    assert refused.value.field == field
    with pytest.raises(InvalidInputError) as refused:
        await memories.remember_many([values])
    assert refused.value.field == field
    assert await memories.count() == 0


async def test_counters_are_nobodys_to_give(memories: MemoryRepository) -> None:
    for name in ("access_count", "last_accessed_at"):
        with pytest.raises(InvalidInputError) as refused:
            await memories.remember_many([{"content": "x", name: None}])
        assert refused.value.field == name


async def test_a_vector_has_the_width_of_its_space(memories: MemoryRepository, space: EmbeddingSpace) -> None:
    memory = await memories.remember("x")
    for call in (
        lambda: memories.remember("y", vector=[1.0, 2.0]),
        lambda: memories.remember_many([{"content": "y", "vector": [1.0, 2.0]}]),
        lambda: memories.embed(memory.id, [1.0, 2.0]),
        lambda: memories.embed_many([(memory.id, [1.0, 2.0])]),
        lambda: memories.recall([1.0, 2.0]),
    ):
        with pytest.raises(DimensionError) as refused:
            await call()
        assert (refused.value.expected, refused.value.actual) == (3, 2)
    assert await memories.count() == 1


async def test_without_a_space_the_active_one_is_meant(memories: MemoryRepository, session: Session) -> None:
    spaces = EmbeddingSpaceRepository(session)
    old, new = await EmbeddingSpaceFactory.create_batch(2, session)
    memory = await memories.remember("x")
    for call in (
        lambda: memories.remember("y", vector=EAST),
        lambda: memories.embed(memory.id, EAST),
        lambda: memories.recall(EAST),
        lambda: memories.recall(EAST, space=old.id),  # type: ignore[arg-type]  # that it is wrong is the point
    ):
        with pytest.raises(InvalidInputError) as refused:
            await call()
        assert refused.value.field == "space"
    await spaces.activate(old.id)
    await memories.embed(memory.id, EAST)
    await spaces.activate(new.id)
    assert len(await memories.recall(EAST)) == 0
    assert [hit.id for hit in await memories.recall(EAST, space=old)] == [memory.id]


async def test_embed_adds_and_replaces(memories: MemoryRepository, space: EmbeddingSpace, statements: Counted) -> None:
    one, two = await memories.remember("one"), await memories.remember("two")
    await memories.embed(one.id, EAST)
    with statements() as seen:
        assert await memories.embed_many([(one.id, NORTH), (two.id, np.array([1, 1, 0]))], space) == 2
    assert len(seen) == 2
    hits = await memories.recall(NORTH)
    assert [hit.content for hit in hits] == ["one", "two"]
    assert [hit.score for hit in hits] == pytest.approx([1, np.sqrt(0.5)], abs=1e-6)
    absent = uuid4()
    with pytest.raises(NotFoundError) as missing:
        await memories.embed(absent, EAST)
    assert (missing.value.model, missing.value.key) == ("Memory", absent)
    with pytest.raises(NotFoundError) as missing:
        await memories.embed_many([(one.id, UP), (absent, EAST)])
    assert missing.value.key == absent
    assert (await memories.recall(UP))[0].score == pytest.approx(0, abs=1e-6)


async def test_a_recalled_memory_has_all_but_its_vector(
    memories: MemoryRepository, session: Session, space: EmbeddingSpace
) -> None:
    message = await MessageFactory.create(session, conversation_id__owner_id="ada")
    memory = await memories.remember(
        "x",
        conversation_id=message.conversation_id,
        first_message_id=message.id,
        importance=0.25,
        occurred_at=NOON,
        extra_data={"a": [1, None]},
        vector=EAST,
    )
    (hit,) = await memories.recall(EAST)
    for name in hit.__dataclass_fields__.keys() - {"score"}:
        assert getattr(hit, name) == getattr(memory, name), name
    assert hit.score == pytest.approx(1)
    assert repr(hit) == f"RecalledMemory(id={memory.id!r})"
    with pytest.raises(AttributeError):
        hit.content = "y"  # type: ignore[misc]  # that it is read-only is the point


async def test_touch_counts_and_moves_no_update(memories: MemoryRepository, space: EmbeddingSpace) -> None:
    one = await memories.remember("one", vector=EAST)
    two = await memories.remember("two", vector=NORTH)
    updated_at = one.updated_at
    assert await memories.touch([one.id, uuid4()]) == 1
    assert await memories.touch([]) == 0
    hits = await memories.recall(EAST, limit=1, touch=True)
    assert [hit.access_count for hit in hits] == [1]
    one, two = await memories.get(one.id), await memories.get(two.id)
    assert (one.access_count, two.access_count) == (2, 0)
    assert one.last_accessed_at is not None
    assert one.updated_at == updated_at
    assert two.last_accessed_at is None
    with pytest.raises(InvalidInputError):
        await memories.touch(uuid4() for _ in range(1_001))


async def test_many_touch_the_same_at_once(fresh_database: Database) -> None:
    async with fresh_database.transaction() as session:
        ids = await MemoryRepository(session).remember_many({"content": str(number)} for number in range(40))

    async def touch(number: int) -> None:
        chosen = np.random.default_rng(number).permutation(40)[:30]
        async with fresh_database.transaction() as session:
            await MemoryRepository(session).touch(ids[place] for place in chosen)

    await asyncio.gather(*(touch(number) for number in range(20)))
    async with fresh_database.session() as session:
        found = await MemoryRepository(session).get_many(ids)
    assert sum(memory.access_count for memory in found) == 20 * 30


async def test_reading_touches_nothing(fresh_database: Database) -> None:
    async with fresh_database.transaction() as session:
        space = await EmbeddingSpaceFactory.create(session)
        await MemoryRepository(session).remember("x", vector=EAST, space=space)
    async with fresh_database.session() as session:
        assert len(await MemoryRepository(session).recall(EAST, space=space)) == 1
    with pytest.raises(ReadOnlyError):
        async with fresh_database.session() as session:
            await MemoryRepository(session).recall(EAST, space=space, touch=True)


async def test_forget_takes_what_passes_every_filter(memories: MemoryRepository, session: Session) -> None:
    talk = await ConversationFactory.create(session)
    persona = await PersonaFactory.create(session)

    await memories.remember("of the talk", conversation_id=talk.id, importance=0.2)
    await memories.remember("of the persona", persona_id=persona.id, importance=0.2, memory_type="summary")
    await memories.remember("important", persona_id=persona.id, importance=0.8)
    await memories.remember("long ago", occurred_at=NOON - timedelta(days=400))
    await memories.remember("now", occurred_at=NOON)

    async def left() -> set[str]:
        return {memory.content for memory in (await memories.page()).rows}

    assert await memories.forget(persona_id=persona.id, max_importance=0.5, memory_type="episodic") == 0
    assert await memories.forget(persona_id=persona.id, max_importance=0.5) == 1
    assert await left() == {"of the talk", "important", "long ago", "now"}
    assert await memories.forget(before=NOON) == 1
    assert await memories.forget(conversation_id=talk.id) == 1
    assert await left() == {"important", "now"}
    with pytest.raises(InvalidInputError) as refused:
        await memories.forget()
    assert refused.value.field == "filters"
    bad: dict[str, Any] = {"before": datetime(2026, 1, 1), "max_importance": 2, "persona_id": "Ada"}
    for name, value in bad.items():
        with pytest.raises(InvalidInputError) as refused:
            await memories.forget(**{name: value})
        assert refused.value.field == name
    assert await left() == {"important", "now"}


async def test_page_and_count_by_filter(memories: MemoryRepository, session: Session) -> None:
    talk, persona = await ConversationFactory.create(session), await PersonaFactory.create(session)
    of_talk = [await memories.remember(str(n), conversation_id=talk.id, persona_id=persona.id) for n in range(3)]
    await memories.remember("x", memory_type="summary")
    first = await memories.page(conversation_id=talk.id, limit=2)
    rest = await memories.page(conversation_id=talk.id, limit=2, after=first.next)
    assert [*first, *rest] == of_talk[::-1]
    assert rest.next is None
    assert await memories.count(persona_id=persona.id) == 3
    assert await memories.count(memory_type="summary") == 1
    assert await memories.count() == 4


async def test_update_changes_what_is_a_callers(memories: MemoryRepository, session: Session) -> None:
    talk = await ConversationFactory.create(session)
    memory = await memories.remember("x", conversation_id=talk.id)
    changed = await memories.update(memory.id, content="y", importance=1.0, memory_type="semantic", occurred_at=NOON)
    assert (changed.content, changed.importance, changed.memory_type) == ("y", 1.0, "semantic")
    for name in ("conversation_id", "owner_id", "access_count", "last_accessed_at", "vector"):
        with pytest.raises(InvalidInputError) as refused:
            await memories.update(memory.id, **{name: None})
        assert refused.value.field == name


async def test_deleting_what_it_is_of(memories: MemoryRepository, session: Session, space: EmbeddingSpace) -> None:
    message = await MessageFactory.create(session)
    persona = await PersonaFactory.create(session)
    await memories.remember("of the talk", conversation_id=message.conversation_id, vector=EAST)
    kept = await memories.remember("across", first_message_id=message.id, persona_id=persona.id, vector=EAST)
    await ConversationRepository(session).delete(message.conversation_id)
    assert [hit.id for hit in await memories.recall(EAST)] == [kept.id]
    assert (await memories.get(kept.id)).first_message_id is None
    assert await memories.delete(kept.id)
    assert len(await memories.recall(EAST)) == 0


async def test_a_memory_is_its_conversations_owners(memories: MemoryRepository, session: Session) -> None:
    hers = await ConversationFactory.create(session, owner_id="ada")
    nobodys = await ConversationFactory.create(session)
    assert (await memories.remember("x", conversation_id=hers.id)).owner_id == "ada"
    assert (await memories.remember("x", conversation_id=hers.id, owner_id="ada")).owner_id == "ada"
    assert (await memories.remember("x", conversation_id=nobodys.id)).owner_id is None
    assert (await memories.remember("x", owner_id="bob")).owner_id == "bob"
    (key,) = await memories.remember_many([{"content": "x", "conversation_id": hers.id}])
    assert (await memories.get(key)).owner_id == "ada"
    for talk, owner_id in ((hers, "bob"), (nobodys, "bob")):
        with pytest.raises(InvalidInputError) as refused:
            await memories.remember("x", conversation_id=talk.id, owner_id=owner_id)
        assert refused.value.field == "owner_id"


async def test_what_a_memory_refers_to_must_be_there(memories: MemoryRepository) -> None:
    for name in ("conversation_id", "persona_id", "first_message_id"):
        reference: dict[str, Any] = {name: uuid4()}
        with pytest.raises(MissingReferenceError):
            async with memories.session.nested():
                await memories.remember("x", **reference)


async def test_what_comes_while_it_is_asked_for_is_there(
    database: Database, session: Session, monkeypatch: pytest.MonkeyPatch, space: EmbeddingSpace
) -> None:
    talk = uuid4()
    require = MemoryRepository._require

    async def late(memories: MemoryRepository, rows: Sequence[Row]) -> None:
        await ConversationRepository(memories.session).create(id=talk, title="late")
        await require(memories, rows)

    monkeypatch.setattr(MemoryRepository, "_require", late)
    async with database.transaction(owner_id="ada") as hers:
        memory = await MemoryRepository(hers).remember("late", conversation_id=talk, vector=EAST, space=space)
        found = await MemoryRepository(hers).recall(EAST, space=space, conversation_id=talk)
    assert [hit.id for hit in found] == [memory.id]


async def test_an_owner_meets_its_own_alone(database: Database, session: Session, space: EmbeddingSpace) -> None:
    theirs = await MessageFactory.create(session, conversation_id__owner_id="bob")
    persona = await PersonaFactory.create(session, owner_id="bob")
    for_all = await PersonaFactory.create(session)
    bobs = await MemoryFactory.create(session, conversation_id=theirs.conversation_id, content="bob's")
    shared = await MemoryFactory.create(session, conversation_id=None, content="nobody's")
    for memory in (bobs, shared):
        await MemoryEmbeddingFactory.create(session, memory_id=memory.id, embedding_space_id=space.id, embedding=EAST)
    before = await _whole(session)
    async with database.transaction(owner_id="ada") as hers:
        memories = MemoryRepository(hers)
        own = await memories.remember("ada's", vector=[1.0, 1.0, 0.0], persona_id=for_all.id)
        assert own.owner_id == "ada"
        references: list[dict[str, Any]] = [
            {"conversation_id": theirs.conversation_id},
            {"first_message_id": theirs.id},
            {"persona_id": persona.id},
        ]
        for reference in references:
            with pytest.raises(MissingReferenceError):
                await memories.remember("x", **reference)
            with pytest.raises(MissingReferenceError):
                await memories.remember_many([{"content": "x", **reference}])
        with pytest.raises(InvalidInputError):
            await memories.remember("x", owner_id="bob")
        assert [hit.id for hit in await memories.recall(EAST)] == [own.id]
        assert [hit.id for hit in await memories.recall(EAST, mode="approximate")] == [own.id]
        assert len(await memories.recall(EAST, conversation_id=theirs.conversation_id)) == 0
        assert [memory.id for memory in (await memories.page()).rows] == [own.id]
        assert [memory.id async for memory in memories.stream()] == [own.id]
        assert await memories.count() == 1
        for memory in (bobs, shared):
            assert await memories.get_or_none(memory.id) is None
            assert not await memories.exists(memory.id)
            assert await memories.touch([memory.id]) == 0
            assert not await memories.delete(memory.id)
            for verb in (
                memories.get,
                memories.lock,
                partial(memories.update, content="stolen"),
                partial(memories.embed, vector=NORTH),
            ):
                with pytest.raises(NotFoundError):
                    await verb(memory.id)
            with pytest.raises(NotFoundError):
                await memories.embed_many([(own.id, NORTH), (memory.id, NORTH)])
        assert await memories.get_many([bobs.id, shared.id]) == []
        assert await memories.forget(before=datetime(2100, 1, 1, tzinfo=UTC), max_importance=1) == 1
        assert await memories.forget(conversation_id=theirs.conversation_id) == 0
    assert await _whole(session) == before


async def _whole(session: Session) -> list[tuple[object, ...]]:
    found = await MemoryRepository(session).page(limit=1_000)
    space = await EmbeddingSpaceRepository(session).active()
    hits = await MemoryRepository(session).recall(EAST, space=space)
    return [(row.id, row.owner_id, row.content, row.access_count, row.updated_at) for row in found.rows] + [
        (hit.id, hit.score) for hit in hits
    ]


async def test_in_a_unit_of_work(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database) as uow:
        space = await uow.embedding_spaces.create(name="small", dimensions=3)
        await uow.embedding_spaces.activate(space.id)
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        memory: Memory = await uow.memories.remember("I live in Oslo.", vector=EAST)
        assert [hit.id for hit in await uow.memories.recall(EAST)] == [memory.id]
