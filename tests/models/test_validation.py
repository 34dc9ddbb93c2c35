"""An entity is valid at all times: what a field does not take is refused when it is made and when it is assigned."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import selectinload
from sqlmodel import col, select

from database import Session
from models import Conversation, Message, Persona, Role, Run, RunStatus
from models.values import MAX_JSON_DEPTH
from tests.factories import (
    ArtifactFactory,
    AsyncFactory,
    ConversationFactory,
    EmbeddingSpaceFactory,
    LLMCallFactory,
    MemoryFactory,
    MessageFactory,
    ModuleFactory,
    PersonaFactory,
    PersonaModuleFactory,
    RunFactory,
    StateFactory,
)
from tests.models.catalogue import FACTORIES

SECRET = "the-secret-text"


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


BAD: list[tuple[type[AsyncFactory[Any]], str, object]] = [
    (MessageFactory, "role", "robot"),
    (MessageFactory, "role", None),
    (MessageFactory, "position", 0),
    (MessageFactory, "position", 2**63),
    (MessageFactory, "position", 10**40),
    (MessageFactory, "position", "first"),
    (MessageFactory, "input_tokens", -1),
    (MessageFactory, "content", None),
    (MessageFactory, "content", "x" * 1_000_001),
    (MessageFactory, "content", "\0" + SECRET),
    (MessageFactory, "content", SECRET + "\0"),
    (MessageFactory, "content", SECRET + "\ud800"),
    (MessageFactory, "content", SECRET + "\udfff" + SECRET),
    (MessageFactory, "name", "x" * 256),
    (MessageFactory, "sent_at", datetime(2026, 11, 22)),
    (MessageFactory, "sent_at", "yesterday"),
    (MessageFactory, "sent_at", datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=5)))),
    (MessageFactory, "sent_at", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
    (MessageFactory, "conversation_id", "not-a-uuid"),
    (MessageFactory, "tool_calls", {"a": 1}),
    (MessageFactory, "extra_data", {"a": float("nan")}),
    (MessageFactory, "extra_data", {"a": float("inf")}),
    (MessageFactory, "extra_data", {"a": [{"b": -float("inf")}]}),
    (MessageFactory, "extra_data", {"a": SECRET + "\0"}),
    (MessageFactory, "extra_data", {SECRET + "\0": 1}),
    (MessageFactory, "extra_data", {"a": "\ud800"}),
    (MessageFactory, "extra_data", {1: "one"}),
    (MessageFactory, "extra_data", {"a": Decimal(1)}),
    (MessageFactory, "extra_data", {"a": datetime.now(UTC)}),
    (MessageFactory, "extra_data", {"a": nested(MAX_JSON_DEPTH + 1)}),
    (MessageFactory, "extra_data", None),
    (StateFactory, "state_value", float("nan")),
    (StateFactory, "state_value", nested(5_000)),
    (StateFactory, "version", 0),
    (MemoryFactory, "importance", 1.5),
    (MemoryFactory, "importance", -0.1),
    (MemoryFactory, "importance", float("nan")),
    (MemoryFactory, "memory_type", "x" * 51),
    (MemoryFactory, "owner_id", ""),
    (LLMCallFactory, "cost_usd", Decimal("0.00000000001")),
    (LLMCallFactory, "cost_usd", Decimal("100000000")),
    (LLMCallFactory, "cost_usd", Decimal("NaN")),
    (LLMCallFactory, "cost_usd", Decimal("Infinity")),
    (LLMCallFactory, "cost_usd", Decimal(-1)),
    (LLMCallFactory, "cost_usd", "much"),
    (EmbeddingSpaceFactory, "dimensions", 0),
    (EmbeddingSpaceFactory, "dimensions", 16_001),
    (EmbeddingSpaceFactory, "metric", "manhattan"),
    (ModuleFactory, "trigger_pattern", "("),
    (ModuleFactory, "stage_priority", 2**63),
    (ArtifactFactory, "url", "report.pdf"),
    (ArtifactFactory, "url", "data:text/plain;base64,aGVsbG8="),
    (ArtifactFactory, "sha256", "0" * 63),
    (ArtifactFactory, "sha256", "G" * 64),
    (ArtifactFactory, "size_bytes", -1),
    (RunFactory, "status", "lost"),
    (RunFactory, "idempotency_key", "x" * 256),
    (RunFactory, "result", {"a": {1, 2}}),
    (PersonaFactory, "is_active", "perhaps"),
]


def case(value: object) -> str:
    if isinstance(value, type):
        return value.__name__
    return type(value).__name__ if isinstance(value, list | dict) else repr(value)[:30]


@pytest.mark.parametrize(("factory", "field", "bad"), BAD, ids=case)
def test_a_bad_value_is_refused_when_the_entity_is_made(
    factory: type[AsyncFactory[Any]], field: str, bad: object
) -> None:
    with pytest.raises(ValidationError) as caught:
        factory.build(**{field: bad})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("factory", "field", "bad"), BAD, ids=case)
async def test_a_bad_value_is_refused_on_assignment_and_nothing_of_it_is_stored(
    session: Session, factory: type[AsyncFactory[Any]], field: str, bad: object
) -> None:
    entity = await factory.create()
    before = getattr(entity, field)
    with pytest.raises(ValidationError) as caught:
        setattr(entity, field, bad)
    assert SECRET not in str(caught.value)
    assert getattr(entity, field) == before
    await session.flush()
    session.expunge(entity)
    stored = await session.get(type(entity), entity.id)
    assert getattr(stored, field) == before


async def test_a_good_value_is_stored_on_assignment(session: Session) -> None:
    message = await MessageFactory.create()
    message.role = Role.ASSISTANT
    message.content = "Better so."
    await session.flush()
    session.expunge(message)
    stored = await session.get_one(Message, message.id)
    assert (stored.role, stored.content) == (Role.ASSISTANT, "Better so.")


def test_values_become_what_the_field_says() -> None:
    moment = datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    message = Message.model_validate(
        {
            "conversation_id": "0193584e-7a4c-7cc2-9b9f-1f5b0f2a3c11",
            "position": 1,
            "role": "user",
            "content": "",
            "fingerprint": "",
            "sent_at": moment,
        }
    )
    assert message.conversation_id == UUID("0193584e-7a4c-7cc2-9b9f-1f5b0f2a3c11")
    assert message.role is Role.USER
    assert message.sent_at == moment
    assert message.sent_at.utcoffset() == timedelta(0)


def test_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValidationError):
        Conversation.model_validate({"title": "First chat", "colour": "blue"})
    with pytest.raises(ValidationError):
        ConversationFactory.build(colour="blue")


@pytest.mark.parametrize("table", sorted(FACTORIES))
def test_a_missing_field_is_refused(table: str) -> None:
    model = FACTORIES[table]._meta.model
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    with pytest.raises(ValidationError) as caught:
        model.model_validate({})
    assert {error["loc"][0] for error in caught.value.errors()} == required
    assert required


@pytest.mark.parametrize("table", sorted(FACTORIES))
def test_repr_shows_the_key_alone(table: str) -> None:
    model = FACTORIES[table]._meta.model
    texts = {name: SECRET for name, field in model.model_fields.items() if field.annotation in (str, str | None)}
    texts |= {"url": f"https://{SECRET}/"} if "url" in texts else {}
    texts.pop("sha256", None)
    extra = {"extra_data": {SECRET: SECRET}} if "extra_data" in model.model_fields else {}
    entity = FACTORIES[table].build(**(texts | extra))
    keys = [column.name for column in sa.inspect(model).primary_key]
    assert repr(entity) == f"{model.__name__}({', '.join(f'{key}={getattr(entity, key)!r}' for key in keys)})"
    assert SECRET not in f"{entity} {entity!r} {[entity]}"


async def test_ids_are_made_in_order(session: Session) -> None:
    made = [ConversationFactory.build().id for _ in range(1_000)]
    assert made == sorted(made)
    assert {one.version for one in made} == {7}


async def test_a_change_moves_updated_at_and_nothing_else_does(session: Session) -> None:
    persona = await PersonaFactory.create()
    created, updated = persona.created_at, persona.updated_at
    await session.flush()
    await session.refresh(persona)
    assert persona.updated_at == updated
    persona.name = "Another"
    await session.flush()
    await session.refresh(persona)
    assert persona.updated_at > updated
    assert persona.created_at == created


async def test_a_relationship_is_loaded_by_asking_for_it(session: Session) -> None:
    use = await PersonaModuleFactory.create(persona_id__name="Ada", module_id__name="Rhymes")
    chat = await ConversationFactory.create(persona_id=use.persona_id)
    session.expunge_all()
    lazy = await session.get_one(Conversation, chat.id)
    with pytest.raises(InvalidRequestError):
        _ = lazy.persona
    session.expunge_all()
    with_persona = select(Conversation).options(selectinload(Conversation.persona).selectinload(Persona.modules))  # type: ignore[arg-type]  # mypy sees the value, not the attribute
    loaded = (await session.exec(with_persona.where(col(Conversation.id) == chat.id))).one()
    assert loaded.persona is not None
    assert loaded.persona.name == "Ada"
    assert [module.name for module in loaded.persona.modules] == ["Rhymes"]


async def test_an_enum_compares_with_its_text(session: Session) -> None:
    run = await RunFactory.create(status="running")
    assert run.status is RunStatus.RUNNING
    assert (await session.exec(select(Run).where(Run.status == "running"))).one() is run
