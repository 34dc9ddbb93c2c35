"""JSON comes back as it went in, numbers and nulls included, and can be asked by path."""

from typing import Any

import pytest
from sqlmodel import col, select

from database import Session
from models import (
    Run,
    State,
)
from tests.factories import (
    MessageFactory,
    RunFactory,
    StateFactory,
)
from tests.models.catalogue import raw, reread

DOCUMENTS: list[Any] = [
    {},
    {"mood": "calm", "list": [1, 2.5, "three", None, True, {"deep": []}]},
    {"é ☕ 𝄞": "日本語", 'quote"': "back\\slash", "": ""},
    {"big": 2**53 + 1, "bigger": 2**70, "negative": -(2**63)},
    {"huge": 1e308, "round": 1e23, "tiny": 5e-324, "minus": -0.0, "e+5": "1e+5"},
    {"b": 1, "a": 2},
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: ",".join(document)[:20])
async def test_json_comes_back_equal(session: Session, document: dict[str, Any]) -> None:
    message = await reread(session, await MessageFactory.create(extra_data=document, tool_calls=[document]))
    assert message.extra_data == document
    assert message.tool_calls == [document]
    kinds = {key: type(value) for key, value in document.items()}
    assert {key: type(value) for key, value in message.extra_data.items()} == kinds


@pytest.mark.parametrize("value", [None, True, False, 0, 1, -1.5, "", "text", [], {}, [None], {"a": None}])
async def test_any_json_is_a_state(session: Session, value: object) -> None:
    state = await reread(session, await StateFactory.create(state_value=value))
    assert state.state_value == value
    assert type(state.state_value) is type(value)


async def test_json_null_is_a_value_of_a_state(session: Session) -> None:
    await StateFactory.create(state_value=None)
    assert await raw(session, "SELECT CAST(state_value AS TEXT) FROM conversation_states") == "null"
    assert (await session.exec(select(State.state_value))).one() is None


async def test_none_is_sql_null_elsewhere(session: Session) -> None:
    await RunFactory.create(result=None)
    assert await raw(session, "SELECT count(*) FROM runs WHERE result IS NULL") == 1


async def test_a_state_is_overwritten_with_json_null(session: Session) -> None:
    state = await StateFactory.create(state_value={"mood": "calm"})
    state.state_value = None
    await session.flush()
    assert await raw(session, "SELECT CAST(state_value AS TEXT) FROM conversation_states") == "null"


async def test_json_is_asked_by_path(session: Session) -> None:
    await RunFactory.create(request_payload={"topic": "tides", "depth": 3, "draft": True})
    await RunFactory.create(request_payload={"topic": "stars", "depth": 1})
    payload = col(Run.request_payload)
    found = await session.exec(select(payload).where(payload["topic"].as_string() == "tides"))
    assert found.one()["depth"] == 3
    assert (await session.exec(select(payload).where(payload["depth"].as_integer() > 1))).one()["draft"] is True


async def test_text_in_json_is_stored_as_it_is(session: Session) -> None:
    await StateFactory.create(state_value="café")
    assert await raw(session, "SELECT CAST(state_value AS TEXT) FROM conversation_states") == '"café"'
