"""Each kind of value comes back as it went in, in a form that the database can compare and sum."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from database import Session
from database.errors import InvalidInputError
from models import (
    EmbeddingSpace,
    LLMCall,
    Memory,
    Message,
    Metric,
    Role,
    metadata,
)
from tests.factories import (
    EmbeddingSpaceFactory,
    LLMCallFactory,
    MemoryFactory,
    MessageFactory,
    ModuleFactory,
)
from tests.models.catalogue import FACTORIES, insert, raw, reread, values_of
from tests.support import on_postgresql, on_sqlite

INDIA = timezone(timedelta(hours=5, minutes=30))
LINE_ISLANDS = timezone(timedelta(hours=14))


@pytest.mark.parametrize("table", sorted(FACTORIES))
async def test_every_entity_comes_back_as_it_went_in(session: Session, table: str) -> None:
    entity = await FACTORIES[table].create()
    assert values_of(await reread(session, entity)) == values_of(entity)


# Money


async def test_money_is_summed_exactly_by_the_database(session: Session) -> None:
    costs = [Decimal("0.1"), Decimal("0.2"), Decimal("99999999.9999999999"), Decimal("0.0000000001"), None]
    for cost in costs:
        await LLMCallFactory.create(cost_usd=cost)
    total = (await session.exec(select(sa.func.sum(LLMCall.cost_usd)))).one()
    assert total == Decimal("100000000.3000000000")
    assert isinstance(total, Decimal)


async def test_money_is_compared_and_sorted_by_its_amount(session: Session) -> None:
    for cost in ("9.5", "10", "0.0000000001", "100"):
        await LLMCallFactory.create(cost_usd=Decimal(cost))
    column = col(LLMCall.cost_usd)
    found = (await session.exec(select(column).where(column > Decimal("9.4999999999")).order_by(column))).all()
    assert found == [Decimal("9.5"), Decimal(10), Decimal(100)]


@pytest.mark.parametrize("amount", ["0", "1", "-0", "0.0000000001", "99999999.9999999999", "1E+3", "1.50"])
async def test_money_keeps_every_decimal(session: Session, amount: str) -> None:
    call = await reread(session, await LLMCallFactory.create(cost_usd=Decimal(amount)))
    assert call.cost_usd == Decimal(amount)
    assert call.cost_usd.as_tuple().exponent == -10


@pytest.mark.parametrize("amount", ["0.00000000001", "100000000", "NaN", "Infinity", "1E-11"])
async def test_money_that_does_not_fit_is_refused_not_rounded(session: Session, amount: str) -> None:
    call = LLMCallFactory.build()
    with pytest.raises(InvalidInputError):
        await insert(session, call, cost_usd=Decimal(amount))


async def test_a_negative_amount_is_money_too(session: Session) -> None:
    amount = sa.literal(Decimal("-0.0000000003"), metadata.tables["llm_calls"].c.cost_usd.type)
    value = (await (await session.core()).execute(sa.select(amount))).scalar_one()
    assert value == Decimal("-0.0000000003")


@on_sqlite
async def test_money_is_a_scaled_integer_on_sqlite(session: Session) -> None:
    await LLMCallFactory.create(cost_usd=Decimal("1.5"))
    assert await raw(session, "SELECT cost_usd FROM llm_calls") == 15_000_000_000
    assert await raw(session, "SELECT typeof(cost_usd) FROM llm_calls") == "integer"


@on_postgresql
async def test_money_is_numeric_on_postgresql(session: Session) -> None:
    await LLMCallFactory.create(cost_usd=Decimal("1.5"))
    assert await raw(session, "SELECT cost_usd FROM llm_calls") == Decimal("1.5000000000")
    assert await raw(session, "SELECT CAST(pg_typeof(cost_usd) AS TEXT) FROM llm_calls") == "numeric"


# Enums and ids


async def test_an_enum_is_its_value_as_text(session: Session) -> None:
    await MessageFactory.create(role=Role.ASSISTANT)
    assert await raw(session, "SELECT role FROM messages") == "assistant"
    role = (await session.exec(select(Message.role))).one()
    assert role is Role.ASSISTANT


@pytest.mark.parametrize("metric", list(Metric))
async def test_every_member_comes_back(session: Session, metric: Metric) -> None:
    space = await reread(session, await EmbeddingSpaceFactory.create(metric=metric))
    assert space.metric is metric
    found = (await session.exec(select(EmbeddingSpace).where(EmbeddingSpace.metric == metric))).one()
    assert found is space


async def test_a_word_that_is_no_member_is_refused(session: Session) -> None:
    message = await MessageFactory.create()
    with pytest.raises(InvalidInputError):
        await insert(session, message, role="robot")


async def test_ids_sort_by_the_time_they_were_made(session: Session) -> None:
    made = [(await ModuleFactory.create()).id for _ in range(20)]
    table = metadata.tables["modules"]
    found = (await (await session.core()).execute(sa.select(table.c.id).order_by(table.c.id))).scalars().all()
    assert list(found) == made
    assert all(isinstance(key, UUID) for key in found)


# Times

TIMES = [
    datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=UTC),
    datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=INDIA),
    datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=LINE_ISLANDS),
    datetime(2026, 1, 1, tzinfo=timezone(-timedelta(hours=12))),
    datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999998, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=UTC),
]


@pytest.mark.parametrize("moment", TIMES, ids=str)
async def test_a_time_comes_back_as_the_same_instant_in_utc(session: Session, moment: datetime) -> None:
    message = await reread(session, await MessageFactory.create(sent_at=moment))
    assert message.sent_at == moment
    assert message.sent_at.utcoffset() == timedelta(0)


async def test_times_are_compared_as_instants(session: Session) -> None:
    for moment in sorted(TIMES, key=str):
        await MessageFactory.create(sent_at=moment)
    found = (await session.exec(select(Message.sent_at).order_by(col(Message.sent_at)))).all()
    assert list(found) == sorted(TIMES)
    noon = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
    later = (await session.exec(select(Message.sent_at).where(Message.sent_at > noon.astimezone(INDIA)))).all()
    assert sorted(later) == [moment for moment in sorted(TIMES) if moment > noon]


async def test_a_naive_time_is_refused_by_the_column_too(session: Session) -> None:
    message = await MessageFactory.create()
    with pytest.raises(InvalidInputError):
        await insert(session, message, sent_at=datetime(2026, 11, 22))


# Text and numbers

TEXTS = [
    "",
    " ",
    "'; DROP TABLE messages; --",
    "'" * 100_000,
    "\ufffe\ufeff",
    "\u202eright to left\u200d👩\u200d🚀",
    "e\u0301",
    "\u00e9",
    "line\r\nline\tand :name and %s and ?",
    "x" * 1_000_000,
    "𝄞" * 1_000_000,
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:12]))
async def test_text_comes_back_as_it_is(session: Session, text: str) -> None:
    message = await reread(session, await MessageFactory.create(content=text))
    assert message.content == text


@pytest.mark.parametrize("number", [0, 1, -1, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63) + 1])
async def test_a_whole_number_has_64_bits(session: Session, number: int) -> None:
    assert (await reread(session, await ModuleFactory.create(stage_priority=number))).stage_priority == number


@pytest.mark.parametrize("number", [0.0, 1.0, 0.1, 1 / 3, 5e-324])
async def test_a_float_keeps_every_bit(session: Session, number: float) -> None:
    memory = await reread(session, await MemoryFactory.create(importance=number))
    assert memory.importance == number


async def test_a_float_is_found_by_its_value(session: Session) -> None:
    await MemoryFactory.create(importance=1 / 3)
    assert (await session.exec(select(Memory.importance).where(Memory.importance == 1 / 3))).one() == 1 / 3
