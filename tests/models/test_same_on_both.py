"""Whatever a value is, it comes back equal or is refused with the same error, on SQLite as on PostgreSQL."""

import math
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from database import Database, StoreError
from tests.factories import (
    AsyncFactory,
    LLMCallFactory,
    MemoryEmbeddingFactory,
    MemoryFactory,
    MessageFactory,
    ModuleFactory,
    StateFactory,
    storing_in,
)
from tests.models.catalogue import count
from tests.support import PostgresCopies, SqliteCopies


class Both(NamedTuple):
    sqlite: Database
    postgresql: Database


@pytest.fixture(scope="module")
async def both(sqlite_copies: SqliteCopies, postgres_copies: PostgresCopies) -> AsyncIterator[Both]:
    here, there = await sqlite_copies.migrated(), await postgres_copies.migrated()
    async with Database(here) as sqlite, Database(there) as postgresql:
        yield Both(sqlite, postgresql)
    await sqlite_copies.drop(here)
    await postgres_copies.drop(there)


# Each example is tried in four places.
a_few = settings(max_examples=settings().max_examples // 2)

# Every character there is, the surrogates and NUL with the rest.
anything = st.text(st.characters(exclude_categories=()), max_size=50)
numbers = st.integers(-(2**65), 2**65)
floats = st.floats(allow_nan=True, allow_infinity=True)
documents = st.recursive(
    st.none() | st.booleans() | numbers | floats | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=20,
)
vectors = st.lists(st.floats(-70_000, 70_000, width=32) | floats, max_size=8)
amounts = st.decimals(places=None) | st.decimals(-(10**9), 10**9, places=10) | st.decimals(0, 10**8, places=11)
offsets = st.none() | st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(timezones=offsets)


async def through_the_model(database: Database, factory: type[AsyncFactory[Any]], field: str, value: object) -> object:
    """What is read back of an entity with this value, or the class of the error that refuses it."""
    async with database.sandbox() as session:
        with storing_in(session):
            try:
                entity = await factory.create(session, **{field: value})
            except (ValidationError, StoreError) as error:
                assert await count(session, str(factory._meta.model.__tablename__)) == 0
                return type(error)
            session.expunge(entity)
            return getattr(await session.get_one(type(entity), sa.inspect(entity).identity), field)


async def through_the_raw_door(
    database: Database, factory: type[AsyncFactory[Any]], field: str, value: object, kind: type
) -> object:
    """What is read back after an UPDATE with this parameter, or the class of the error that refuses it."""
    table = factory._meta.model.__tablename__
    async with database.sandbox() as session:
        with storing_in(session):
            await factory.create()
        try:
            await database.execute(f"UPDATE {table} SET {field} = :value", {"value": value})
        except StoreError as error:
            return type(error)
        row = await database.fetch_one(f"SELECT {field} AS value FROM {table}", columns={"value": kind})
    assert row is not None
    return row["value"]


def same(left: object, right: object) -> bool:
    return type(left) is type(right) and left == right


async def agree(both: Both, factory: type[AsyncFactory[Any]], field: str, value: object) -> object:
    here = await through_the_model(both.sqlite, factory, field, value)
    there = await through_the_model(both.postgresql, factory, field, value)
    assert same(here, there)
    return here


async def agree_on_parameter(
    both: Both, factory: type[AsyncFactory[Any]], field: str, value: object, kind: type
) -> object:
    here = await through_the_raw_door(both.sqlite, factory, field, value, kind)
    there = await through_the_raw_door(both.postgresql, factory, field, value, kind)
    assert same(here, there)
    return here


@a_few
@given(anything)
@example("")
@example("\0")
@example("a\0b")
@example("\ud800")
@example("e\u0301 é \ufffe")
async def test_text(both: Both, text: str) -> None:
    good = "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
    for outcome in (
        await agree(both, MessageFactory, "content", text),
        await agree_on_parameter(both, MessageFactory, "content", text, str),
    ):
        assert outcome == text if good else isinstance(outcome, type)


@a_few
@given(documents)
@example(math.nan)
@example({"a": [math.inf]})
@example(-0.0)
@example(2**70)
@example(1e23)
@example({"e+": "1e+5", '"': 1.7976931348623157e308})
@example({"\0": 1})
@example(10**5_000)
async def test_json(both: Both, document: object) -> None:
    outcome = await agree(both, StateFactory, "state_value", document)
    assert isinstance(outcome, type) or outcome == document


@a_few
@given(st.dictionaries(anything, documents, max_size=4))
@example({"a": {"b": -math.inf}})
@example({"a": {"b": [1e23, None]}})
async def test_json_as_a_parameter(both: Both, document: dict[str, object]) -> None:
    outcome = await agree_on_parameter(both, MessageFactory, "extra_data", document, dict)
    assert isinstance(outcome, type) or outcome == document


@a_few
@given(vectors)
@example([0.0, -0.0])
@example([1e-50])
@example([65_504.0])
@example([math.nan, 1.0])
@example([])
async def test_vector(both: Both, vector: list[float]) -> None:
    with np.errstate(over="ignore"):
        array = np.array(vector)
        expected = array.astype(np.float32).tolist()
    for outcome in (
        await agree(both, MemoryEmbeddingFactory, "embedding", vector),
        await agree_on_parameter(both, MemoryEmbeddingFactory, "embedding", array, np.ndarray),
    ):
        assert isinstance(outcome, type) or outcome == expected


@a_few
@given(amounts)
@example(Decimal("0.00000000001"))
@example(Decimal("99999999.9999999999"))
@example(Decimal("1E+8"))
@example(Decimal("-0"))
@example(Decimal("sNaN"))
@example(Decimal("-Infinity"))
@example(Decimal("-1"))
async def test_money(both: Both, amount: Decimal) -> None:
    fits = amount.is_finite() and amount == round(amount, 10) and 0 <= amount < 10**8
    for outcome in (
        await agree(both, LLMCallFactory, "cost_usd", amount),
        await agree_on_parameter(both, LLMCallFactory, "cost_usd", amount, Decimal),
    ):
        assert outcome == amount if fits else isinstance(outcome, type)


@a_few
@given(times)
@example(datetime(1, 1, 1, tzinfo=timezone(timedelta(minutes=1))))
@example(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(-timedelta(minutes=1))))
@example(datetime(2026, 11, 22))
async def test_time(both: Both, moment: datetime) -> None:
    for outcome in (
        await agree(both, MessageFactory, "sent_at", moment),
        await agree_on_parameter(both, MessageFactory, "sent_at", moment, datetime),
    ):
        if moment.tzinfo is None:
            assert isinstance(outcome, type)
        elif isinstance(outcome, datetime):
            assert outcome == moment
            assert outcome.utcoffset() == timedelta(0)


@a_few
@given(numbers)
@example(2**63 - 1)
@example(2**63)
@example(-(2**63))
@example(10**40)
async def test_integer(both: Both, number: int) -> None:
    for outcome in (
        await agree(both, ModuleFactory, "stage_priority", number),
        await agree_on_parameter(both, ModuleFactory, "stage_priority", number, int),
    ):
        assert outcome == number if abs(number) < 2**63 else isinstance(outcome, type)


@a_few
@given(floats)
@example(math.nan)
@example(-0.0)
@example(1 + 1e-16)
async def test_float(both: Both, number: float) -> None:
    for outcome in (
        await agree(both, MemoryFactory, "importance", number),
        await agree_on_parameter(both, MemoryFactory, "importance", number, float),
    ):
        assert outcome == number if 0 <= number <= 1 else isinstance(outcome, type)
