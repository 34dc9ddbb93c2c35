"""Vectors of messages: written beside the texts, for the owner of the talk alone."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import UUID, uuid4

import numpy as np
import pytest

from database import Database, Session
from database.errors import DimensionError, InvalidInputError, MissingReferenceError, NotFoundError
from models import EmbeddingSpace, MessageEmbedding
from repositories import EmbeddingSpaceRepository, MessageRepository
from tests.factories import ConversationFactory, EmbeddingSpaceFactory, MessageFactory
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

EAST, NORTH = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]


@pytest.fixture
def messages(session: Session) -> MessageRepository:
    return MessageRepository(session)


@pytest.fixture
async def space(session: Session) -> EmbeddingSpace:
    return await EmbeddingSpaceFactory.create(session)


async def vector_of(session: Session, message_id: UUID, space: EmbeddingSpace) -> MessageEmbedding:
    session.expunge_all()
    row = await session.get(MessageEmbedding, (message_id, space.id))
    assert row is not None
    return row


async def test_embed_writes_one_and_replaces_it(
    messages: MessageRepository, session: Session, space: EmbeddingSpace, statements: Counted
) -> None:
    message = await MessageFactory.create(session)
    with statements() as seen:
        await messages.embed(message.id, EAST, space)
    assert len(seen) == 1
    first = await vector_of(session, message.id, space)
    await EmbeddingSpaceRepository(session).activate(space.id)
    with statements() as seen:
        await messages.embed(message.id, np.array(NORTH))
    assert len(seen) == 2
    second = await vector_of(session, message.id, space)
    assert (first.embedding, second.embedding) == (EAST, NORTH)
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at


async def test_many_are_written_in_a_few_statements(
    messages: MessageRepository, session: Session, space: EmbeddingSpace, statements: Counted
) -> None:
    talk = await ConversationFactory.create(session)
    records = await messages.append_many(talk.id, [{"role": "user", "content": str(n)} for n in range(501)])
    pairs = [(record.id, [1.0, float(number), 0.0]) for number, record in enumerate(records)]
    with statements() as seen:
        assert await messages.embed_many(iter(pairs), space) == 501
    assert len(seen) == 4
    with statements() as seen:
        assert await messages.embed_many([], space) == 0
    assert len(seen) == 0
    for place in (0, 499, 500):
        assert (await vector_of(session, pairs[place][0], space)).embedding == pairs[place][1]


async def test_nothing_is_written_for_what_is_not_there(
    messages: MessageRepository, session: Session, space: EmbeddingSpace
) -> None:
    message, absent = await MessageFactory.create(session), uuid4()
    with pytest.raises(NotFoundError) as missing:
        await messages.embed(absent, EAST, space)
    assert (missing.value.model, missing.value.key) == ("Message", absent)
    with pytest.raises(NotFoundError) as missing:
        await messages.embed_many([(message.id, EAST), (absent, EAST)], space)
    assert missing.value.key == absent
    with pytest.raises(DimensionError):
        await messages.embed(message.id, [1.0], space)
    with pytest.raises(InvalidInputError) as refused:
        await messages.embed(message.id, EAST)
    assert refused.value.field == "space"
    never_stored = EmbeddingSpace(name="never stored", dimensions=3)
    for call in (
        lambda: messages.embed(message.id, EAST, never_stored),
        lambda: messages.embed_many([(message.id, EAST)], never_stored),
    ):
        with pytest.raises(MissingReferenceError):
            async with session.nested():
                await call()
    assert await session.get(MessageEmbedding, (message.id, space.id)) is None


async def test_an_owner_embeds_its_own_alone(database: Database, session: Session, space: EmbeddingSpace) -> None:
    hers = await MessageFactory.create(session, conversation_id__owner_id="ada")
    others = [await MessageFactory.create(session, conversation_id__owner_id=owner) for owner in ("bob", None)]
    async with database.transaction(owner_id="ada") as owned:
        messages = MessageRepository(owned)
        await messages.embed(hers.id, EAST, space)
        for other in others:
            with pytest.raises(NotFoundError):
                await messages.embed(other.id, EAST, space)
            with pytest.raises(NotFoundError):
                await messages.embed_many([(hers.id, NORTH), (other.id, NORTH)], space)
    assert (await vector_of(session, hers.id, space)).embedding == EAST
    for other in others:
        assert await session.get(MessageEmbedding, (other.id, space.id)) is None


async def test_vectors_go_with_the_talk(messages: MessageRepository, session: Session, space: EmbeddingSpace) -> None:
    message = await MessageFactory.create(session)
    await messages.embed(message.id, EAST, space)
    await messages.delete(message.id)
    session.expunge_all()
    assert await session.get(MessageEmbedding, (message.id, space.id)) is None
