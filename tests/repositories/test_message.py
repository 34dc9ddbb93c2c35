"""Messages: places without gaps, counters that are true, replays that are recognised."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from database import Database, Session
from database.errors import DuplicateError, InvalidInputError, NotFoundError
from models import Conversation, Message, MessageStatus, Role
from models.values import MAX_INTEGER
from repositories import MessageWriter, UnitOfWork
from repositories.conversation import ConversationRepository
from repositories.message import MessageRepository
from repositories.state import StateRepository
from tests.factories import ConversationFactory
from tests.support import Statements

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

Counted = Callable[[], AbstractContextManager[Statements]]


@pytest.fixture
def messages(session: Session) -> MessageRepository:
    return MessageRepository(session)


@pytest.fixture
async def talk(session: Session) -> Conversation:
    return await ConversationFactory.create(session)


async def counters(session: Session, conversation_id: UUID) -> Conversation:
    return await ConversationRepository(session).get(conversation_id)


async def test_append_gives_places_in_order(messages: MessageRepository, talk: Conversation, session: Session) -> None:
    first = await messages.append(talk.id, role="user", content="I live in Oslo.", input_tokens=5, sent_at=NOON)
    second = await messages.append(talk.id, role=Role.ASSISTANT, content="", output_tokens=7, sent_at=NOON)
    assert [first.position, second.position] == [1, 2]
    assert first.role is Role.USER
    assert first.status is MessageStatus.COMPLETE
    row = await counters(session, talk.id)
    assert (row.last_position, row.message_count, row.input_tokens, row.output_tokens) == (2, 2, 5, 7)
    assert row.last_message_at == NOON


async def test_append_is_one_statement_on_postgresql(
    messages: MessageRepository, talk: Conversation, statements: Counted, backend: str
) -> None:
    with statements() as seen:
        await messages.append(talk.id, role="user", content="hello")
    assert len(seen) == (1 if backend == "postgresql" else 2)


async def test_the_same_message_again_is_the_stored_one(
    messages: MessageRepository, talk: Conversation, session: Session
) -> None:
    key = uuid4()
    first = await messages.append(talk.id, role="user", content="hello", id=key)
    await messages.append(talk.id, role="assistant", content="hi")
    again = await messages.append(talk.id, role="user", content="hello", id=key)
    assert again == first
    await messages.edit(key, content="hello!")
    edited = await messages.append(talk.id, role="user", content="hello", id=key)
    assert (edited.position, edited.content) == (1, "hello!")
    third = await messages.append(talk.id, role="user", content="third")
    assert third.position == 3
    assert (await counters(session, talk.id)).message_count == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"content": "other"},
        {"role": "assistant"},
        {"name": "Ada"},
        {"tool_calls": [{"id": "call"}]},
        {"tool_call_id": "call"},
    ],
)
async def test_an_id_taken_by_another_message_is_refused(
    messages: MessageRepository, talk: Conversation, session: Session, changes: dict[str, object]
) -> None:
    key = uuid4()
    await messages.append(talk.id, role="user", content="hello", id=key)
    sent = {"role": "user", "content": "hello", **changes}
    with pytest.raises(DuplicateError):
        await messages.append(talk.id, id=key, **sent)  # type: ignore[arg-type]  # the point is any field
    with pytest.raises(DuplicateError):
        await messages.append_many(talk.id, [{"id": key, **sent}])
    row = await counters(session, talk.id)
    assert (row.last_position, row.message_count) == (1, 1)


async def test_an_id_of_another_conversation_is_refused(
    messages: MessageRepository, talk: Conversation, session: Session
) -> None:
    other = await ConversationFactory.create(session)
    key = uuid4()
    await messages.append(talk.id, role="user", content="hello", id=key)
    message: dict[str, object] = {"role": "user", "content": "hello", "id": key}
    for append in (
        messages.append(other.id, role="user", content="hello", id=key),
        messages.append_many(other.id, [message]),
        messages.append_turn(other.id, [message], states=[{"key": "city", "value": "Oslo"}]),
    ):
        with pytest.raises(DuplicateError) as refused:
            await append
        assert refused.value.constraint == "pk_messages"
    # Nor is the unit broken.
    assert (await counters(session, other.id)).last_position == 0
    assert await StateRepository(session).records(other.id) == []


async def test_no_such_conversation(messages: MessageRepository) -> None:
    with pytest.raises(NotFoundError):
        await messages.append(uuid4(), role="user", content="hello")
    with pytest.raises(NotFoundError):
        await messages.append_many(uuid4(), [])
    assert await messages.history(uuid4()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "robot"),
        ("content", "a\0b"),
        ("content", "\ud800"),
        ("content", "x" * 1_000_001),
        ("name", "x" * 256),
        ("tool_calls", [{"n": float("nan")}]),
        ("extra_data", {"a\0": 1}),
        ("sent_at", datetime(2026, 1, 1)),
        ("input_tokens", -1),
        ("output_tokens", 2**63),
        ("episode", 0),
        ("id", "not-a-uuid"),
    ],
)
async def test_bad_input_is_refused_by_its_field(
    messages: MessageRepository, talk: Conversation, statements: Counted, field: str, value: object
) -> None:
    sent = {"role": "user", "content": "hello", field: value}
    with statements() as seen:
        with pytest.raises(InvalidInputError) as refused:
            await messages.append(talk.id, **sent)  # type: ignore[arg-type]  # the point is a wrong type
        assert refused.value.field == field
        assert len(seen) == 0


async def test_bad_input_in_append_many_keeps_nothing(messages: MessageRepository, talk: Conversation) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await messages.append_many(talk.id, [{"role": "user", "content": "a", "position": 7}])
    assert refused.value.field == "position"


async def test_append_many_numbers_counts_and_recognises(
    messages: MessageRepository, talk: Conversation, session: Session
) -> None:
    key = uuid4()
    first = await messages.append(talk.id, role="user", content="0", id=key, input_tokens=1)
    rows: list[dict[str, object]] = [{"role": "user", "content": "0", "id": key}]
    rows += [{"role": "user", "content": str(number), "id": uuid4(), "input_tokens": 2} for number in range(1, 1_100)]
    stored = await messages.append_many(talk.id, rows)
    assert stored[0] == first
    assert [record.position for record in stored] == [*range(1, 1_101)]
    assert [record.content for record in stored] == [str(number) for number in range(1_100)]
    again = await messages.append_many(talk.id, iter(rows))
    assert [record.id for record in again] == [record.id for record in stored]
    row = await counters(session, talk.id)
    assert (row.last_position, row.message_count, row.input_tokens) == (1_100, 1_100, 1 + 2 * 1_099)
    assert await messages.count(talk.id) == 1_100


async def test_append_many_costs_statements_by_batches(
    messages: MessageRepository, talk: Conversation, statements: Counted
) -> None:
    with statements() as seen:
        await messages.append_many(talk.id, [{"role": "user", "content": "x"}] * 600)
    assert len(seen) == 4, "lock, two inserts, counters"


async def test_history_reads_the_newest_in_reading_order(
    messages: MessageRepository, talk: Conversation, statements: Counted
) -> None:
    await messages.append_many(talk.id, [{"role": "user", "content": str(number)} for number in range(1, 101)])
    with statements() as seen:
        assert [record.position for record in await messages.history(talk.id)] == [*range(51, 101)]
    assert len(seen) == 1
    assert [record.position for record in await messages.history(talk.id, last=3)] == [98, 99, 100]
    assert [record.position for record in await messages.history(talk.id, last=3, before=98)] == [95, 96, 97]
    assert [record.position for record in await messages.history(talk.id, last=3, after=10)] == [11, 12, 13]
    assert [record.position for record in await messages.history(talk.id, last=2, after=10, before=20)] == [18, 19]
    assert await messages.history(talk.id, before=1) == []
    assert [record.position async for record in messages.stream(talk.id)] == [*range(1, 101)]
    assert [record.position async for record in messages.stream(talk.id, after=98)] == [99, 100]


@pytest.mark.parametrize("arguments", [{"last": 0}, {"last": 1_001}, {"before": 0}, {"after": -1}, {"max_tokens": 0}])
async def test_history_refuses_limits_out_of_range(
    messages: MessageRepository, talk: Conversation, arguments: dict[str, int]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await messages.history(talk.id, **arguments)  # type: ignore[arg-type]  # keyword by keyword
    assert refused.value.field == next(iter(arguments))


async def test_history_is_cut_at_whole_messages(messages: MessageRepository, talk: Conversation) -> None:
    for words in (4, 3, 2, 1):
        await messages.append(talk.id, role="user", content="word " * words)

    async def fit(tokens: int) -> list[int]:
        found = await messages.history(talk.id, max_tokens=tokens, count_tokens=lambda one: len(one.content.split()))
        return [record.position for record in found]

    assert await fit(10) == [1, 2, 3, 4]
    assert await fit(9) == [2, 3, 4]
    assert await fit(5) == [3, 4]
    assert await fit(1) == [4]
    assert [record.position for record in await messages.history(talk.id, max_tokens=1_000)] == [1, 2, 3, 4]


async def test_edit_keeps_the_counters_true(
    messages: MessageRepository, talk: Conversation, session: Session, statements: Counted
) -> None:
    message = await messages.append(talk.id, role="user", content="draft", input_tokens=5)
    with statements() as seen:
        edited = await messages.edit(message.id, content="final", status="interrupted", extra_data={"a": 1})
    assert len(seen) == 1
    assert (edited.content, edited.status, edited.extra_data) == ("final", MessageStatus.INTERRUPTED, {"a": 1})
    assert edited.edited_at is not None
    with statements() as seen:
        counted = await messages.edit(message.id, input_tokens=None, output_tokens=9)
    assert len(seen) == 4
    assert counted.edited_at == edited.edited_at
    row = await counters(session, talk.id)
    assert (row.input_tokens, row.output_tokens) == (0, 9)
    for name, value in {"position": 3, "role": "tool", "conversation_id": talk.id, "nonsense": 1}.items():
        with pytest.raises(InvalidInputError) as refused:
            await messages.edit(message.id, **{name: value})
        assert refused.value.field == name
    for changes in ({"content": "x"}, {"input_tokens": 1}):
        with pytest.raises(NotFoundError):
            await messages.edit(uuid4(), **changes)


async def test_delete_leaves_a_gap_and_true_counters(
    messages: MessageRepository, talk: Conversation, session: Session, statements: Counted
) -> None:
    sent = [
        await messages.append(
            talk.id, role="user", content="x", input_tokens=2, sent_at=NOON + timedelta(minutes=minute)
        )
        for minute in range(3)
    ]
    with statements() as seen:
        assert await messages.delete(sent[2].id)
    assert len(seen) == 3
    assert not await messages.delete(sent[2].id)
    row = await counters(session, talk.id)
    assert (row.last_position, row.message_count, row.input_tokens) == (3, 2, 4)
    assert row.last_message_at == NOON + timedelta(minutes=1)
    assert (await messages.append(talk.id, role="user", content="y")).position == 4
    for record in await messages.history(talk.id):
        assert await messages.delete(record.id)
    row = await counters(session, talk.id)
    assert (row.message_count, row.input_tokens, row.last_message_at) == (0, 0, row.created_at)


async def test_a_long_silence_begins_an_episode(messages: MessageRepository, talk: Conversation) -> None:
    hours = [0, 1, 5, 9.1, 9.2]
    one_by_one = [
        (await messages.append(talk.id, role="user", content="x", sent_at=NOON + timedelta(hours=hour))).episode
        for hour in hours
    ]
    assert one_by_one == [1, 1, 1, 2, 2]
    given = await messages.append(talk.id, role="user", content="x", episode=7)
    assert given.episode == 7
    assert (await messages.append(talk.id, role="user", content="x")).episode == 7


async def test_episodes_of_many_are_those_of_one_by_one(messages: MessageRepository, session: Session) -> None:
    one, many = await ConversationFactory.create(session), await ConversationFactory.create(session)
    rows: list[dict[str, object]] = [
        {"role": "user", "content": "x", "sent_at": NOON + timedelta(hours=hour), "episode": episode}
        for hour, episode in [(0, None), (5, None), (6, 9), (7, None), (30, None), (31, 2), (32, None)]
    ]
    for row in rows:
        await messages.append(one.id, **row)  # type: ignore[arg-type]  # typed by key
    await messages.append_many(many.id, rows)
    left, right = await messages.history(one.id), await messages.history(many.id)
    assert [record.episode for record in left] == [record.episode for record in right] == [1, 2, 9, 9, 10, 2, 10]
    a, b = await counters(session, one.id), await counters(session, many.id)
    assert (a.last_episode, a.last_message_at) == (b.last_episode, b.last_message_at)


async def test_appending_is_no_change_of_the_conversation(
    messages: MessageRepository, talk: Conversation, session: Session
) -> None:
    before = talk.updated_at
    message = await messages.append(talk.id, role="user", content="x")
    await messages.append_many(talk.id, [{"role": "user", "content": "y"}])
    await messages.delete(message.id)
    assert (await counters(session, talk.id)).updated_at == before


async def test_another_owners_messages_are_not_there(fresh_database: Database) -> None:
    async with fresh_database.transaction(owner_id="bob") as session:
        talk = await ConversationRepository(session).create(title="Bob's")
        message = await MessageRepository(session).append(talk.id, role="user", content="secret")
    async with fresh_database.transaction(owner_id="ada") as session:
        messages = MessageRepository(session)
        for verb in (
            lambda: messages.append(talk.id, role="user", content="x"),
            lambda: messages.append_many(talk.id, [{"role": "user", "content": "x"}]),
            lambda: messages.edit(message.id, content="x"),
            lambda: messages.edit(message.id, input_tokens=3),
            lambda: messages.get(message.id),
        ):
            with pytest.raises(NotFoundError):
                await verb()
        assert not await messages.delete(message.id)
        assert await messages.history(talk.id) == []
        assert await messages.count() == await messages.count(talk.id) == 0
        assert await messages.get_or_none(message.id) is None
        assert await messages.get_many([message.id]) == []
        assert not await messages.exists(message.id)
        assert (await messages.page()).rows == []
        assert [record async for record in messages.stream(talk.id)] == []
        own = await ConversationRepository(session).create(title="Ada's")
        with pytest.raises(DuplicateError):
            await messages.append(own.id, role="user", content="secret", id=message.id)
    async with fresh_database.session(owner_id="bob") as session:
        assert await MessageRepository(session).history(talk.id) == [message]


async def test_entities_are_read_by_page(messages: MessageRepository, talk: Conversation) -> None:
    stored = await messages.append_many(talk.id, [{"role": "user", "content": str(number)} for number in range(5)])
    page = await messages.page(limit=2)
    assert all(isinstance(row, Message) for row in page)
    seen = [row.id for row in page]
    while page.next is not None:
        page = await messages.page(limit=2, after=page.next)
        seen += [row.id for row in page]
    assert seen == [record.id for record in reversed(stored)]


async def test_the_first_hours_of_all_have_no_moment_before_them(
    messages: MessageRepository, talk: Conversation
) -> None:
    early = datetime(1, 1, 1, 0, 30, tzinfo=UTC)
    await messages.append(talk.id, role="user", content="x", sent_at=early)
    await messages.append_many(talk.id, [{"role": "user", "content": "y", "sent_at": early}])
    assert [message.episode for message in await messages.history(talk.id)] == [1, 1]


@pytest.mark.parametrize("counter", ["input_tokens", "output_tokens"])
async def test_a_counter_that_has_no_room_refuses_the_message(fresh_database: Database, counter: str) -> None:
    async with UnitOfWork(fresh_database) as uow:
        talk = await uow.conversations.create(title="x")
        most: dict[str, Any] = {"role": "user", "content": "x", counter: MAX_INTEGER}
        await uow.messages.append(talk.id, **most)
    more = most | {"content": "y", counter: 1}
    with pytest.raises(InvalidInputError, match="value"):
        async with UnitOfWork(fresh_database) as uow:
            await uow.messages.append(talk.id, **more)
    with pytest.raises(InvalidInputError, match="value"):
        async with UnitOfWork(fresh_database) as uow:
            await uow.messages.append_many(talk.id, [more, more])
    async with MessageWriter(fresh_database) as writer:
        with pytest.raises(InvalidInputError, match="value"):
            await writer.append(talk.id, **more)
    async with UnitOfWork(fresh_database) as uow:
        found = await uow.conversations.get(talk.id)
        assert (getattr(found, counter), found.message_count) == (MAX_INTEGER, 1)
        assert len(await uow.messages.history(talk.id)) == 1
