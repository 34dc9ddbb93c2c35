"""Embedders: a message or a memory comes with the one that makes its vector, or with the vector itself."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from uuid import UUID, uuid4

import numpy as np
import pytest

from database import Database, Session
from database.errors import DimensionError, InvalidInputError
from models import Conversation, EmbeddingSpace, MemoryEmbedding, MessageEmbedding
from models.values import VectorLike
from repositories import (
    Embedder,
    EmbeddingSpaceRepository,
    MemoryRepository,
    MessageRecord,
    MessageRepository,
    UnitOfWork,
)
from scripts.embedder import HashedEmbedder
from tests.factories import ConversationFactory, EmbeddingSpaceFactory
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

EAST, NORTH = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]


class Lengths:
    """The length of a text in its first number; keeps what it was asked, and gives what a test wants it to."""

    name = "lengths-1"
    dimensions = 3

    def __init__(self, answer: Sequence[VectorLike] | None = None) -> None:
        self.calls: list[list[str]] = []
        self._answer = answer

    async def embed(self, texts: Sequence[str]) -> Sequence[VectorLike]:
        self.calls.append(list(texts))
        return [[float(len(text)), 1.0, 0.0] for text in texts] if self._answer is None else self._answer


@pytest.fixture
def messages(session: Session) -> MessageRepository:
    return MessageRepository(session)


@pytest.fixture
def memories(session: Session) -> MemoryRepository:
    return MemoryRepository(session)


@pytest.fixture
async def talk(session: Session) -> Conversation:
    return await ConversationFactory.create(session)


@pytest.fixture
async def space(session: Session) -> EmbeddingSpace:
    """Another one is active: an embedder's space is found by its name."""
    other = await EmbeddingSpaceFactory.create(session)
    await EmbeddingSpaceRepository(session).activate(other.id)
    return await EmbeddingSpaceFactory.create(session, name=Lengths.name)


async def vector_of(
    session: Session, kind: type[MessageEmbedding] | type[MemoryEmbedding], id: UUID, space: EmbeddingSpace
) -> list[float] | None:
    session.expunge_all()
    row = await session.get(kind, (id, space.id))
    assert isinstance(row, MessageEmbedding | MemoryEmbedding | None)
    return None if row is None else row.embedding


def test_what_is_an_embedder() -> None:
    theirs: Embedder = Lengths()
    demo: Embedder = HashedEmbedder()
    assert isinstance(theirs, Embedder)
    assert isinstance(demo, Embedder)
    assert not isinstance("a name", Embedder)


async def test_what_the_embedder_says_is_stored(
    messages: MessageRepository,
    memories: MemoryRepository,
    talk: Conversation,
    session: Session,
    space: EmbeddingSpace,
    statements: Counted,
    backend: str,
) -> None:
    embedder = Lengths()
    with statements() as seen:
        message = await messages.append(talk.id, role="user", content="hello", embedder=embedder)
    assert len(seen) == (1 if backend == "postgresql" else 2) + 2, "the space, the message, its vector"
    with statements() as seen:
        memory = await memories.remember("hi", embedder=embedder, space=space)
    assert len(seen) == (1 if backend == "postgresql" else 2)
    assert embedder.calls == [["hello"], ["hi"]]
    assert await vector_of(session, MessageEmbedding, message.id, space) == [5.0, 1.0, 0.0]
    assert await vector_of(session, MemoryEmbedding, memory.id, space) == [2.0, 1.0, 0.0]


async def test_a_batch_is_one_call(
    messages: MessageRepository,
    memories: MemoryRepository,
    talk: Conversation,
    session: Session,
    space: EmbeddingSpace,
) -> None:
    embedder = Lengths()
    texts = ["x" * (number % 7 + 1) for number in range(501)]
    records = await messages.append_many(
        talk.id, ({"role": "user", "content": text} for text in texts), embedder=embedder
    )
    ids = await memories.remember_many(({"content": text} for text in texts), embedder=embedder, space=space)
    assert [len(call) for call in embedder.calls] == [500, 1, 500, 1]
    assert [text for call in embedder.calls for text in call] == texts * 2
    for place in (0, 3, 500):
        expected = [float(len(texts[place])), 1.0, 0.0]
        assert await vector_of(session, MessageEmbedding, records[place].id, space) == expected
        assert await vector_of(session, MemoryEmbedding, ids[place], space) == expected


async def test_the_demos_array_conforms(
    messages: MessageRepository, talk: Conversation, session: Session, space: EmbeddingSpace
) -> None:
    embedder = HashedEmbedder(3)
    [record] = await messages.append_many(
        talk.id, [{"role": "user", "content": "peanuts"}], embedder=embedder, space=space
    )
    expected = (await embedder.embed(["peanuts"]))[0].tolist()
    assert await vector_of(session, MessageEmbedding, record.id, space) == expected


async def test_a_vector_comes_with_the_message(
    messages: MessageRepository, talk: Conversation, session: Session, space: EmbeddingSpace
) -> None:
    first = await messages.append(talk.id, role="user", content="a", vector=EAST, space=space)
    second, third = await messages.append_many(
        talk.id,
        [{"role": "user", "content": "b", "vector": np.array(NORTH)}, {"role": "user", "content": "c"}],
        space=space,
    )
    found = [await vector_of(session, MessageEmbedding, record.id, space) for record in (first, second, third)]
    assert found == [EAST, NORTH, None]
    active = await EmbeddingSpaceRepository(session).active()
    assert active is not None
    fourth = await messages.append(talk.id, role="user", content="d", vector=EAST)
    [fifth] = await messages.append_many(talk.id, [{"role": "user", "content": "e", "vector": NORTH}])
    found = [await vector_of(session, MessageEmbedding, record.id, active) for record in (fourth, fifth)]
    assert found == [EAST, NORTH]


async def test_an_empty_text_has_no_vector(
    messages: MessageRepository,
    memories: MemoryRepository,
    talk: Conversation,
    session: Session,
    space: EmbeddingSpace,
) -> None:
    embedder = Lengths()
    message = await messages.append(talk.id, role="assistant", content="", embedder=embedder)
    assert embedder.calls == []
    ids = await memories.remember_many([{"content": ""}, {"content": "hi"}], embedder=embedder)
    assert embedder.calls == [["hi"]]
    assert await vector_of(session, MessageEmbedding, message.id, space) is None
    assert await vector_of(session, MemoryEmbedding, ids[0], space) is None
    assert await vector_of(session, MemoryEmbedding, ids[1], space) == [2.0, 1.0, 0.0]


async def test_a_replay_stores_its_vector_once(
    messages: MessageRepository, talk: Conversation, session: Session, space: EmbeddingSpace
) -> None:
    key, embedder = uuid4(), Lengths()

    async def again() -> MessageRecord:
        return await messages.append(talk.id, role="user", content="hello", id=key, embedder=embedder)

    first = await again()
    assert await again() == first
    [stored] = await messages.append_many(talk.id, [{"role": "user", "content": "hello", "id": key}], embedder=embedder)
    assert stored == first
    assert await vector_of(session, MessageEmbedding, key, space) == [5.0, 1.0, 0.0]
    # The vector of what it says now is not lost to what it said then.
    await messages.edit(key, content="goodbye")
    await messages.embed(key, NORTH, space)
    assert (await again()).content == "goodbye"
    await messages.append_many(talk.id, [{"role": "user", "content": "hello", "id": key}], embedder=embedder)
    assert await vector_of(session, MessageEmbedding, key, space) == NORTH


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [EAST, NORTH],
        [[1.0, 0.0]],
        [[float("nan"), 0.0, 0.0]],
        [[float("inf"), 0.0, 0.0]],
        [[0.0, 0.0, 0.0]],
        [[[1.0, 0.0, 0.0]]],
    ],
)
async def test_vectors_that_are_no_good_store_nothing(
    messages: MessageRepository,
    memories: MemoryRepository,
    talk: Conversation,
    space: EmbeddingSpace,
    answer: Sequence[VectorLike],
) -> None:
    embedder = Lengths(answer)
    for call in (
        lambda: messages.append(talk.id, role="user", content="a", embedder=embedder),
        lambda: messages.append_many(talk.id, [{"role": "user", "content": "a"}], embedder=embedder),
        lambda: memories.remember("a", embedder=embedder),
        lambda: memories.remember_many([{"content": "a"}], embedder=embedder),
    ):
        with pytest.raises(InvalidInputError) as refused:
            await call()
        assert refused.value.field == "embedder"
    assert await messages.count() == await memories.count() == 0


async def test_a_vector_or_an_embedder(
    messages: MessageRepository, memories: MemoryRepository, talk: Conversation, space: EmbeddingSpace
) -> None:
    embedder = Lengths()
    for call in (
        lambda: messages.append(talk.id, role="user", content="a", vector=EAST, embedder=embedder),
        lambda: messages.append_many(talk.id, [{"role": "user", "content": "a", "vector": EAST}], embedder=embedder),
        lambda: memories.remember("a", vector=EAST, embedder=embedder),
        lambda: memories.remember_many([{"content": "a", "vector": EAST}], embedder=embedder),
        lambda: memories.remember("a", embedder="lengths-1"),  # type: ignore[arg-type]  # the point is a wrong type
    ):
        with pytest.raises(InvalidInputError) as refused:
            await call()
        assert refused.value.field == "embedder"
    assert embedder.calls == []


async def test_a_bad_message_or_vector_is_refused_before_any_statement(
    messages: MessageRepository,
    memories: MemoryRepository,
    talk: Conversation,
    space: EmbeddingSpace,
    statements: Counted,
) -> None:
    embedder = Lengths()
    with statements() as seen:
        with pytest.raises(InvalidInputError):
            await messages.append(talk.id, role="robot", content="a", embedder=embedder)
        with pytest.raises(InvalidInputError):
            await messages.append_many(talk.id, [{"role": "user", "content": "a\0"}], embedder=embedder)
        with pytest.raises(InvalidInputError):
            await memories.remember("a", importance=2.0, embedder=embedder)
        with pytest.raises(InvalidInputError):
            await memories.remember_many([{"content": "a"}, {"content": 1}], embedder=embedder)
        with pytest.raises(DimensionError):
            await messages.append(talk.id, role="user", content="a", vector=[1.0], space=space)
        broken = Lengths([[0.0]])
        with pytest.raises(InvalidInputError):
            await memories.remember("a", embedder=broken, space=space)
    assert seen == []
    assert embedder.calls == []


async def test_the_space_of_an_embedder(
    messages: MessageRepository, talk: Conversation, session: Session, statements: Counted
) -> None:
    async def refused(space: EmbeddingSpace | None = None) -> str:
        with pytest.raises(InvalidInputError) as error:
            await messages.append(talk.id, role="user", content="a", embedder=Lengths(), space=space)
        assert error.value.field == "space"
        return error.value.reason

    assert "create it" in await refused()
    narrow = await EmbeddingSpaceFactory.create(session, name=Lengths.name, dimensions=2)
    assert "2 dimensions" in await refused()
    with statements() as seen:
        assert "2 dimensions" in await refused(narrow)
    assert seen == []
    assert await messages.count() == 0


async def test_no_lock_is_held_while_a_model_thinks(fresh_database: Database, statements: Counted) -> None:
    async with UnitOfWork(fresh_database) as uow:
        await uow.embedding_spaces.create(name=Lengths.name, dimensions=3)
        talk = await uow.conversations.create(title="x")

    class Watched(Lengths):
        async def embed(self, texts: Sequence[str]) -> Sequence[VectorLike]:
            assert seen == []
            return await super().embed(texts)

    embedder = Watched()
    rows = [{"role": "user", "content": "a"}] * 501
    async with UnitOfWork(fresh_database) as uow:
        with statements() as seen:
            await uow.messages.append_many(talk.id, rows, embedder=embedder)
        with statements() as seen:
            await uow.memories.remember_many([{"content": "a"}] * 501, embedder=embedder)
        with statements() as seen:
            await uow.messages.append(talk.id, role="user", content="a", embedder=embedder)
        with statements() as seen:
            await uow.memories.remember("a", embedder=embedder)
    assert len(embedder.calls) == 6


async def test_an_owner_embeds_in_a_shared_space(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database) as uow:
        space = await uow.embedding_spaces.create(name=Lengths.name, dimensions=3)
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        talk = await uow.conversations.create(title="x")
        await uow.messages.append(talk.id, role="user", content="hello", embedder=Lengths())
        await uow.memories.remember("hello", conversation_id=talk.id, embedder=Lengths())
        assert len(await uow.memories.recall([5.0, 1.0, 0.0], space=space)) == 1
