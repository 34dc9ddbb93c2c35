"""Calls of models: what they took, and whose cost it is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from database import Database, Session
from database.errors import InvalidInputError, MissingReferenceError
from repositories.llm_call import LLMCallRepository
from repositories.run import RunRepository
from tests.factories import (
    ConversationFactory,
    LLMCallFactory,
    MessageFactory,
    RunFactory,
    StepFactory,
)
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

MODEL: dict[str, Any] = {"provider": "openai", "model": "small"}


@pytest.fixture
def calls(session: Session) -> LLMCallRepository:
    return LLMCallRepository(session)


async def parents_of(owner_id: str | None) -> dict[str, Any]:
    """What a call may be for, all of this owner."""
    run = await RunFactory.create(owner_id=owner_id)
    message = await MessageFactory.create(conversation_id__owner_id=owner_id)
    return {"run_id": run.id, "conversation_id": message.conversation_id, "message_id": message.id}


async def test_create_stores_every_column(calls: LLMCallRepository, statements: Counted) -> None:
    parents = await parents_of("ada")
    step = await StepFactory.create(run_id=parents["run_id"])
    with statements() as seen:
        made = await calls.create(
            **parents,
            step_id=step.id,
            provider="openai",
            model="small",
            input_tokens=1,
            output_tokens=2,
            cached_tokens=3,
            reasoning_tokens=4,
            cost_usd=Decimal("0.0000000001"),
            latency_ms=5,
            error="late",
            extra_data={"seed": 1},
        )
    assert len(seen) == 1
    stored = await calls.get(made.id)
    assert {name: getattr(stored, name) for name in parents} == parents
    assert (stored.step_id, stored.owner_id, stored.provider, stored.model) == (step.id, "ada", "openai", "small")
    tokens = (stored.input_tokens, stored.output_tokens, stored.cached_tokens, stored.reasoning_tokens)
    assert tokens == (1, 2, 3, 4)
    assert (stored.cost_usd, stored.latency_ms, stored.error) == (Decimal("0.0000000001"), 5, "late")
    assert stored.extra_data == {"seed": 1}


async def test_a_call_for_nothing(calls: LLMCallRepository, statements: Counted) -> None:
    with statements() as seen:
        call = await calls.create(**MODEL, owner_id="ada")
    assert len(seen) == 1
    assert (call.owner_id, call.run_id, call.cost_usd, call.input_tokens) == ("ada", None, None, None)


async def test_the_owner_is_the_runs_else_the_conversations_else_the_messages(calls: LLMCallRepository) -> None:
    runs, talks, messages = await parents_of("ada"), await parents_of("bob"), await parents_of("eve")
    nobodys = await parents_of(None)
    of_run = {"run_id": runs["run_id"]}
    of_talk = {"conversation_id": talks["conversation_id"]}
    of_message = {"message_id": messages["message_id"]}
    cases: list[tuple[dict[str, Any], str | None]] = [
        (of_run | of_talk | of_message, "ada"),
        (of_talk | of_message, "bob"),
        (of_message, "eve"),
        (nobodys | of_talk, "bob"),
        (nobodys, None),
    ]
    for given, owner in cases:
        assert (await calls.create(**given, **MODEL)).owner_id == owner
    assert (await calls.create(**nobodys, **MODEL, owner_id="ada")).owner_id == "ada"
    assert (await calls.create(**of_run, **MODEL, owner_id="ada")).owner_id == "ada"
    with pytest.raises(InvalidInputError) as refused:
        await calls.create(**of_run, **MODEL, owner_id="bob")
    assert refused.value.field == "owner_id"


async def test_many_at_once_get_their_owners(calls: LLMCallRepository, statements: Counted) -> None:
    adas, bobs = await parents_of("ada"), await parents_of("bob")
    rows = [
        {**MODEL, "run_id": adas["run_id"]},
        {**MODEL, "message_id": bobs["message_id"]},
        {**MODEL, "owner_id": "eve"},
        {**MODEL},
    ]
    with statements() as seen:
        ids = await calls.create_many(rows)
    assert len(seen) == 2
    assert [call.owner_id for call in await calls.get_many(ids)] == ["ada", "bob", "eve", None]


async def test_the_owner_stays_when_the_rest_is_gone(calls: LLMCallRepository, session: Session) -> None:
    message = await MessageFactory.create(conversation_id__owner_id="ada")
    call = await calls.create(message_id=message.id, **MODEL)
    connection = await session.core()
    await connection.exec_driver_sql("DELETE FROM conversations")
    left = await calls.get(call.id)
    assert (left.message_id, left.owner_id) == (None, "ada")


async def test_in_a_session_of_an_owner_calls_are_this_owners(session: Session, database: Database) -> None:
    adas, bobs = await parents_of("ada"), await parents_of("bob")
    async with database.transaction(owner_id="ada") as own:
        calls = LLMCallRepository(own)
        assert (await calls.create(**adas, **MODEL)).owner_id == "ada"
        assert (await calls.create(**MODEL)).owner_id == "ada"
        for name, id in bobs.items():
            with pytest.raises(MissingReferenceError):
                await calls.create(**MODEL | {name: id})
        with pytest.raises(InvalidInputError):
            await calls.create(**MODEL, owner_id="bob")
        assert (await RunRepository(own).stats_of(owner_id="bob")).calls == 0
    assert await LLMCallRepository(session).count() == 2


@pytest.mark.parametrize(
    "field, value",
    [
        ("input_tokens", -1),
        ("cost_usd", Decimal("0.00000000001")),
        ("cost_usd", Decimal(-1)),
        ("provider", "x" * 51),
        ("model", None),
        ("nonsense", 1),
    ],
)
async def test_bad_values_are_refused_by_name(calls: LLMCallRepository, field: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await calls.create(**MODEL | {field: value})
    assert refused.value.field == field


async def test_a_call_needs_what_it_is_for(calls: LLMCallRepository, session: Session) -> None:
    for name in ("run_id", "step_id", "conversation_id", "message_id"):
        with pytest.raises(MissingReferenceError):
            async with session.nested():
                await calls.create(**MODEL | {name: uuid4()})
    assert await calls.count() == 0


async def test_page_and_of_run(calls: LLMCallRepository, statements: Counted) -> None:
    talk, run = await ConversationFactory.create(), await RunFactory.create()
    first, second = [await LLMCallFactory.create(run_id=run.id) for _ in range(2)]
    plain = await LLMCallFactory.create(conversation_id=talk.id)
    with statements() as seen:
        assert [call.id for call in await calls.page()] == [plain.id, second.id, first.id]
        assert [call.id for call in await calls.page(run_id=run.id)] == [second.id, first.id]
        assert [call.id for call in await calls.page(conversation_id=talk.id)] == [plain.id]
        assert [call.id for call in await calls.of_run(run.id)] == [first.id, second.id]
    assert len(seen) == 4


async def test_a_call_may_learn_its_message_later(calls: LLMCallRepository) -> None:
    call, message = await LLMCallFactory.create(), await MessageFactory.create()
    assert (await calls.update(call.id, message_id=message.id)).message_id == message.id
    for name in ("run_id", "conversation_id", "owner_id"):
        with pytest.raises(InvalidInputError):
            await calls.update(call.id, **{name: None})
