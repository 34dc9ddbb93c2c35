"""Turns: calls and results stay together, whatever is appended, cut or interrupted."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from database import Database
from database.errors import DuplicateError, InvalidInputError, MissingReferenceError, NotFoundError
from models import MessageStatus, Role, utc_now
from repositories import MessageRecord, MessageRepository, UnitOfWork
from repositories.turn import acceptable
from repositories.turn_verbs import NO_RESULT
from tests.factories import ConversationFactory, PersonaFactory
from tests.repositories.providers import refusal
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]
Said = dict[str, object]


def user(content: str = "What is the weather?") -> Said:
    return {"role": "user", "content": content}


def asks(*ids: str, content: str = "") -> Said:
    """As OpenAI gives them; Anthropic's `{"type": "tool_use", "id": ...}` is the same to us."""
    calls = [{"id": id, "type": "function", "function": {"name": "weather", "arguments": "{}"}} for id in ids]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def result(id: str, content: str = "rain") -> Said:
    return {"role": "tool", "content": content, "tool_call_id": id}


def says(content: str = "It rains.") -> Said:
    return {"role": "assistant", "content": content}


TURN = [user(), asks("a", "b"), result("b"), result("a"), says()]


@pytest.fixture
async def talk(uow: UnitOfWork) -> UUID:
    return (await ConversationFactory.create()).id


def brief(records: Sequence[MessageRecord]) -> list[str]:
    """Position, role and calls or answer of each, to compare at a glance."""
    return [
        f"{record.position} {record.role}"
        + "".join(f" {call['id']}" for call in record.tool_calls or [])
        + (f" {record.tool_call_id}" if record.tool_call_id else "")
        for record in records
    ]


async def test_a_turn_is_stored_whole(uow: UnitOfWork, talk: UUID, statements: Counted) -> None:
    await uow.states.set(talk, "mood", "calm")
    persona = await PersonaFactory.create()
    states: list[Said] = [{"key": "mood", "value": "wet"}, {"key": "place", "value": None, "persona_id": persona.id}]
    with statements() as seen:
        stored = await uow.messages.append_turn(talk, TURN, states=states)
    assert len(seen) == 3 + 2, "lock, insert, counters; a statement for each state"
    assert brief(stored) == ["1 user", "2 assistant a b", "3 tool b", "4 tool a", "5 assistant"]
    assert await uow.messages.history(talk, valid_only=True) == stored == await uow.messages.history(talk)
    assert refusal(stored) is None
    mood = await uow.states.get(talk, "mood")
    assert (mood.state_value, mood.version) == ("wet", 2)
    assert (await uow.states.get(talk, "place", persona_id=persona.id)).state_value is None
    row = await uow.conversations.get(talk)
    assert (row.last_position, row.message_count) == (5, 5)


async def test_a_turn_sent_again_changes_nothing(uow: UnitOfWork, talk: UUID, statements: Counted) -> None:
    def sent(turn: list[Said]) -> list[Said]:
        return [message | {"id": uuid4()} for message in turn]

    whole, calls = sent(TURN), sent([asks("c")])
    going_on = sent([result("c"), says()])
    first = await uow.messages.append_turn(talk, whole, states=[{"key": "mood", "value": "wet"}])
    await uow.messages.append_many(talk, calls)
    second = await uow.messages.append_turn(talk, going_on, states=[{"key": "mood", "value": "dry"}])
    with statements() as seen:
        again = await uow.messages.append_turn(talk, going_on, states=[{"key": "mood", "value": "dry"}])
    assert len(seen) == 3, "lock, open calls, what is stored"
    assert again == second
    assert await uow.messages.append_turn(talk, whole, states=[{"key": "mood", "value": "wet"}]) == first
    mood = await uow.states.get(talk, "mood")
    assert (mood.state_value, mood.version) == ("dry", 2)
    assert await uow.messages.count(talk) == 8


async def test_a_turn_begins_with_the_results_of_open_calls(uow: UnitOfWork, talk: UUID, statements: Counted) -> None:
    await uow.messages.append_many(talk, [user(), asks("a"), asks("b", "c"), result("b")])
    one_open_behind_another = [result("c"), says(), result("a")]
    for turn in (
        [result("c"), asks("d")],
        [result("b")],
        [user(), result("c")],
        [result("c"), result("c")],
        one_open_behind_another,
    ):
        with pytest.raises(InvalidInputError):
            await uow.messages.append_turn(talk, turn)
    with statements() as seen:
        await uow.messages.append_turn(talk, [result("c"), says()])
    assert len(seen) == 4
    assert brief(await uow.messages.history(talk, valid_only=True)) == [
        "1 user",
        "3 assistant b c",
        "4 tool b",
        "5 tool c",
        "6 assistant",
    ]


NO_ID = asks("x") | {"tool_calls": [{"type": "function", "function": {"name": "weather"}}]}
SECRET = "sk-secret"

BAD_TURNS: dict[str, tuple[str, list[Said]]] = {
    "no message": ("messages", []),
    "too many": ("messages", [user()] * 501),
    "a call without its result": ("tool_calls", [user(), asks("a")]),
    "one of two without": ("tool_calls", [user(), asks(SECRET, "b"), result("b")]),
    "a message between": ("tool_calls", [asks("a"), user(), result("a")]),
    "a system message between": ("tool_calls", [asks("a"), {"role": "system", "content": "x"}, result("a")]),
    "an answer without a call": ("tool_call_id", [user(), result(SECRET)]),
    "only an answer": ("tool_call_id", [result("a")]),
    "an answer before its call": ("tool_call_id", [result("a"), asks("a")]),
    "an answer twice": ("tool_call_id", [asks("a"), result("a"), result("a")]),
    "an answer of no call": ("tool_call_id", [asks("a"), {"role": "tool", "content": "x"}]),
    "an id twice in a message": ("tool_calls", [asks("a", "a"), result("a")]),
    "an id twice in the turn": ("tool_calls", [asks("a"), result("a"), asks("a"), result("a")]),
    "no id": ("tool_calls", [NO_ID]),
    "an id that is no text": ("tool_calls", [NO_ID | {"tool_calls": [{"id": 1}]}]),
    "an empty id": ("tool_calls", [asks("")]),
    "an id too long": ("tool_calls", [asks("x" * 256)]),
    "a call that is no mapping": ("tool_calls", [NO_ID | {"tool_calls": ["a"]}]),
    "a user's call": ("tool_calls", [asks("a") | {"role": "user"}, result("a")]),
    "a tool's call": ("tool_calls", [asks("a"), result("a") | {"tool_calls": [{"id": "b"}]}]),
    "a user's answer": ("tool_call_id", [result("a") | {"role": "user"}]),
    "a bad message": ("content", [user(), {"role": "assistant", "content": 5}]),
    "a field too many": ("position", [user() | {"position": 9}]),
}


@pytest.mark.parametrize("name", BAD_TURNS)
async def test_a_bad_turn_is_refused_whole(uow: UnitOfWork, talk: UUID, name: str) -> None:
    field, turn = BAD_TURNS[name]
    with pytest.raises(InvalidInputError) as refused:
        await uow.messages.append_turn(talk, turn, states=[{"key": "mood", "value": "wet"}])
    assert refused.value.field == field
    assert SECRET not in str(refused.value)
    await assert_nothing_was_written(uow, talk)


@pytest.mark.parametrize(
    ("field", "state"),
    [
        ("value", {"key": "mood"}),
        ("key", {"value": 1}),
        ("state_key", {"key": "x" * 256, "value": 1}),
        ("state_value", {"key": "mood", "value": float("nan")}),
        ("version", {"key": "mood", "value": 1, "version": 1}),
    ],
)
async def test_a_bad_state_refuses_the_turn(uow: UnitOfWork, talk: UUID, field: str, state: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await uow.messages.append_turn(talk, TURN, states=[{"key": "place", "value": "Oslo"}, state])
    assert refused.value.field == field
    await assert_nothing_was_written(uow, talk)


async def assert_nothing_was_written(uow: UnitOfWork, talk: UUID) -> None:
    """The unit goes on; what it would commit is as before."""
    assert await uow.messages.count(talk) == (await uow.conversations.get(talk)).last_position == 0
    assert await uow.states.records(talk) == []


async def test_what_is_refused_later_is_refused_before_the_first_write(fresh_database: Database) -> None:
    key = uuid4()
    async with UnitOfWork(fresh_database) as uow:
        bobs = await uow.personas.create(name="Bob's", template="x", owner_id="bob")
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        talk = await uow.conversations.create(title="Ada's")
        await uow.messages.append(talk.id, role="user", content="taken", id=key)
    states: list[dict[str, object]] = [{"key": "mood", "value": 1}, {"key": "mood", "value": 1, "persona_id": bobs.id}]
    # The unit goes on after each refusal, and commits.
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        with pytest.raises(MissingReferenceError):
            await uow.messages.append_turn(talk.id, TURN, states=states)
        with pytest.raises(DuplicateError):
            await uow.messages.append_turn(talk.id, [*TURN, user("other") | {"id": key}], states=states[:1])
        with pytest.raises(NotFoundError):
            await uow.messages.append_turn(uuid4(), TURN, states=states[:1])
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        assert await uow.messages.count() == 1
        assert await uow.states.records(talk.id) == []


async def test_interrupted_calls_are_closed(uow: UnitOfWork, talk: UUID, statements: Counted) -> None:
    await uow.messages.append_many(talk, [*TURN, asks("c", "d"), result("d")])
    partial = await uow.messages.append(talk, role="assistant", content="It is", status="streaming")
    await uow.messages.append_many(talk, [user("Hello?"), asks("e") | {"status": "streaming"}])
    assert refusal(await uow.messages.history(talk)) is not None
    with statements() as seen:
        changed = await uow.messages.close_interrupted(talk)
    assert len(seen) == 5
    assert brief(changed) == ["8 assistant", "10 assistant e", "11 tool c", "12 tool e"]
    assert {record.status for record in changed} == {MessageStatus.INTERRUPTED}
    assert {record.content for record in changed[2:]} == {NO_RESULT}
    assert (await uow.messages.get(partial.id)).status is MessageStatus.INTERRUPTED
    seen_by_model = await uow.messages.history(talk, valid_only=True)
    assert refusal(seen_by_model) is None
    assert brief(seen_by_model)[5:] == [
        "6 assistant c d",
        "7 tool d",
        "11 tool c",
        "8 assistant",
        "9 user",
        "10 assistant e",
        "12 tool e",
    ]
    with statements() as seen:
        assert await uow.messages.close_interrupted(talk) == []
    assert len(seen) == 3
    row = await uow.conversations.get(talk)
    assert (row.last_position, row.message_count) == (12, 12)
    with pytest.raises(NotFoundError):
        await uow.messages.close_interrupted(uuid4())


async def test_two_close_at_once_and_one_does_it(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database) as uow:
        talk = (await uow.conversations.create(title="x")).id
        await uow.messages.append_many(talk, [user(), asks("a", "b")])

    async def close() -> int:
        async with UnitOfWork(fresh_database) as uow:
            return len(await uow.messages.close_interrupted(talk))

    async with UnitOfWork(fresh_database) as uow:
        assert len(await uow.messages.close_interrupted(talk)) == 2
        second = asyncio.create_task(close())
        await asyncio.wait([second], timeout=0.1)
        assert not second.done(), "it waits for what the first one does"
    assert await second == 0
    async with fresh_database.session() as session:
        assert refusal(await MessageRepository(session).history(talk)) is None


async def test_another_owners_turns_are_not_closed(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database, owner_id="bob") as uow:
        talk = (await uow.conversations.create(title="Bob's")).id
        await uow.messages.append_many(talk, [asks("a") | {"status": "streaming"}])
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        with pytest.raises(NotFoundError):
            await uow.messages.close_interrupted(talk)
        with pytest.raises(NotFoundError):
            await uow.messages.append_turn(talk, [result("a")])
    async with UnitOfWork(fresh_database) as uow:
        [record] = await uow.messages.history(talk)
        assert record.status is MessageStatus.STREAMING


async def test_a_valid_history(uow: UnitOfWork, talk: UUID, statements: Counted) -> None:
    async def valid(*messages: Said, **arguments: Any) -> list[str]:
        of = (await ConversationFactory.create()).id
        await uow.messages.append_many(of, messages)
        with statements() as seen:
            found = await uow.messages.history(of, valid_only=True, **arguments)
        assert len(seen) == 1
        assert refusal(found) is None
        return brief(found)

    whole = ["1 user", "2 assistant a b", "3 tool b", "4 tool a", "5 assistant"]
    assert await valid(*TURN) == whole
    assert await valid(*TURN, last=4) == whole[1:]
    assert await valid(*TURN, last=3) == whole[4:], "results without their calls are left out"
    assert await valid(*TURN, before=4) == ["1 user", "2 assistant b", "3 tool b"], "a call without its result too"
    assert await valid(*TURN, before=3) == ["1 user"], "and then the message without text"
    assert await valid(*TURN, max_tokens=4) == whole[4:]
    assert await valid(asks("a", content="Let me see."), user()) == ["1 assistant", "2 user"], "its text stays"
    assert await valid(asks("a"), user(), result("a")) == ["1 assistant a", "3 tool a", "2 user"], "what came late"
    assert await valid(says(" "), {"role": "user", "content": ""}) == ["2 user"]
    assert await valid(asks("a") | {"tool_calls": []}, asks("b", content="x") | {"tool_calls": []}) == ["2 assistant"]
    assert await valid(asks("0"), result("0"), asks("0"), result("0")) == [
        "1 assistant 0",
        "2 tool 0",
        "3 assistant 0-3",
        "4 tool 0-3",
    ], "an id is used once in a request"
    assert await valid(asks("0"), user(), asks("0"), result("0")) == [
        "2 user",
        "3 assistant 0",
        "4 tool 0",
    ], "the result is the nearest call's"
    assert await valid(asks("0", "0"), result("0"), result("0")) == ["1 assistant 0", "2 tool 0"]


ID = st.sampled_from(["a", "b", "c", "a-2"])
TEXT = st.sampled_from(["", " ", "x", "x" * 9])
ANY_MESSAGE = st.one_of(
    st.builds(lambda role, content: {"role": role, "content": content}, st.sampled_from(["user", "system"]), TEXT),
    st.builds(lambda ids, content: asks(*ids, content=content), st.lists(ID, max_size=3), TEXT),
    st.builds(
        lambda role, calls, content: {"role": role, "content": content, "tool_calls": calls},
        st.sampled_from(["assistant", "user", "tool"]),
        st.lists(st.one_of(st.just("a"), st.just({}), st.builds(lambda id: {"id": id}, ID | st.just(5))), max_size=2),
        TEXT,
    ),
    st.builds(result, ID, TEXT),
    st.builds(result, ID, TEXT),
    st.builds(says, TEXT),
)
WHOLE_TURN = st.lists(ID, unique=True, min_size=1, max_size=3).flatmap(
    lambda ids: st.permutations(ids).map(lambda order: [user(), asks(*ids), *map(result, order), says()])
)
MESSAGES = st.lists(st.one_of(WHOLE_TURN, ANY_MESSAGE.map(lambda one: [one])), max_size=8).map(
    lambda parts: [message for part in parts for message in part]
)


def stored(messages: list[Said]) -> list[MessageRecord]:
    fields: dict[str, Any] = dict.fromkeys(MessageRecord._fields)
    return [
        MessageRecord(
            **fields | {"position": place, "sent_at": utc_now()} | message | {"role": Role(str(message["role"]))}
        )
        for place, message in enumerate(messages, start=1)
    ]


@settings(max_examples=100)
@given(MESSAGES, st.integers(0, 20), st.integers(0, 20))
@example(TURN, 2, 20)
def test_whatever_was_appended_is_made_acceptable(messages: list[Said], first: int, last: int) -> None:
    plain = stored(messages)[first:last]
    valid = acceptable(plain)
    assert refusal(valid) is None
    assert acceptable(valid) == valid
    if refusal(plain) is None:
        assert valid == plain
    # Nothing is lost but what must be: texts, and calls with their results.
    speaking = [record.position for record in plain if record.role != "tool" and record.content.strip()]
    kept = [record.position for record in valid if record.role != "tool"]
    assert kept == sorted(kept)
    assert set(speaking) <= set(kept)


@settings(max_examples=8)
@given(
    messages=MESSAGES,
    cut=st.fixed_dictionaries(
        {},
        optional={
            "last": st.integers(1, 12),
            "before": st.integers(1, 20),
            "after": st.integers(0, 20),
            "max_tokens": st.integers(1, 12),
        },
    ),
)
async def test_a_valid_history_is_acceptable(database: Database, messages: list[Said], cut: dict[str, Any]) -> None:
    async with database.sandbox(), UnitOfWork(database) as uow:
        talk = (await uow.conversations.create(title="x")).id
        await uow.messages.append_many(talk, messages)
        plain = await uow.messages.history(talk, **cut)
        valid = await uow.messages.history(talk, valid_only=True, **cut)
        assert refusal(valid) is None
        assert valid == plain or refusal(plain) is not None
        await uow.messages.close_interrupted(talk)
        assert await uow.messages.close_interrupted(talk) == []
        closed = await uow.messages.history(talk, valid_only=True, last=1000)
        assert refusal(closed) is None
        kept = {record.position: record.tool_calls or [] for record in closed}
        for place, message in enumerate(messages, start=1):
            assert len(kept.get(place, [])) == len(calls_of(message)), "no call is left out any more"


def calls_of(message: dict[str, Any]) -> set[str]:
    calls = message.get("tool_calls") or [] if message["role"] == "assistant" else []
    return {call["id"] for call in calls if isinstance(call, dict) and isinstance(call.get("id"), str)}
