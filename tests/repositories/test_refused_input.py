"""Input that one database would take, or change, and the other would not: refused in our words, before any write."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from database import Database
from database.errors import InvalidInputError, NotFoundError
from models import Conversation
from repositories import UnitOfWork
from tests.factories import ConversationFactory

Call = Callable[[UnitOfWork, UUID, Any], Awaitable[object]]

HUGE = 10**5_000

REFUSED: dict[str, tuple[Call, object, str]] = {
    "the first moment": (
        lambda uow, id, value: uow.conversations.update(id, archived_at=value),
        datetime.min.replace(tzinfo=UTC),
        "archived_at",
    ),
    "the last moment": (
        lambda uow, id, value: uow.conversations.update(id, archived_at=value),
        datetime.max.replace(tzinfo=UTC),
        "archived_at",
    ),
    "too many digits": (lambda uow, id, value: uow.states.set(id, "k", value), {"a": [HUGE]}, "state_value"),
    "a vector's metadata": (
        lambda uow, id, value: uow.embeddings.search([1.0], metadata=value),
        ["a"],
        "metadata",
    ),
    "a pattern's time": (lambda uow, id, value: uow.modules.triggered_by("a", timeout=value), "1", "timeout"),
    "a pattern's long time": (lambda uow, id, value: uow.modules.triggered_by("a", timeout=value), 10**400, "timeout"),
    "a pattern's text": (lambda uow, id, value: uow.modules.triggered_by(value), b"a", "text"),
    "a question": (lambda uow, id, value: uow.messages.search(value), 5, "text"),
    "a fuzzy question": (lambda uow, id, value: uow.personas.similar(value), b"a", "text"),
    "a space": (lambda uow, id, value: uow.embedding_spaces.indexes(value), "plane", "space"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_by_its_name(uow: UnitOfWork, name: str) -> None:
    call, value, field = REFUSED[name]
    conversation: Conversation = await ConversationFactory.create()
    space = await uow.embedding_spaces.create(name="line", dimensions=1)
    await uow.embedding_spaces.activate(space.id)
    with pytest.raises(InvalidInputError) as caught:
        await call(uow, conversation.id, value)
    assert caught.value.field == field
    assert await uow.conversations.exists(conversation.id)


async def test_the_moments_beside_the_first_and_the_last_come_back(uow: UnitOfWork) -> None:
    conversation: Conversation = await ConversationFactory.create()
    for moment in (datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC)):
        assert (await uow.conversations.update(conversation.id, archived_at=moment)).archived_at == moment


async def test_a_turn_whose_state_cannot_be_stored_writes_no_message(uow: UnitOfWork) -> None:
    conversation: Conversation = await ConversationFactory.create()
    with pytest.raises(InvalidInputError):
        await uow.messages.append_turn(
            conversation.id, [{"role": "user", "content": "a"}], states=[{"key": "k", "value": HUGE}]
        )
    assert await uow.messages.count() == 0


async def test_what_is_taken_for_a_number_is_one(uow: UnitOfWork) -> None:
    conversation: Conversation = await ConversationFactory.create()
    episode: Any = "5"
    assert (await uow.messages.append(conversation.id, role="user", content="a", episode=episode)).episode == 5


async def test_an_owner_that_is_taken_for_text_is_text(uow: UnitOfWork) -> None:
    await uow.runs.save(actor="agent", owner_id="ada")
    owner: Any = b"ada"
    assert (await uow.runs.stats_of(owner_id=owner)).runs == 1


async def test_a_name_that_is_not_found_is_not_told(uow: UnitOfWork) -> None:
    with pytest.raises(NotFoundError) as caught:
        await uow.embedding_spaces.get_by_name("a customer")
    assert "a customer" not in str(caught.value)
    assert caught.value.key == "a customer"


@pytest.mark.parametrize("owner", ["a\0", "a\ud800", 5])
async def test_an_owner_that_no_row_can_have_opens_no_unit(database: Database, owner: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        async with UnitOfWork(database, owner_id=owner):
            pass
    assert caught.value.field == "owner_id"
