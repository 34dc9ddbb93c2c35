"""Values of the raw-SQL door: converted by their Python type, the same on both databases, or refused by name."""

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from uuid import UUID

import numpy as np
import pytest

from database import RawSql
from database.errors import InvalidInputError
from models import Role
from tests.database.conftest import fill
from tests.factories import ConversationFactory, LLMCallFactory, MemoryEmbeddingFactory, MessageFactory, ModuleFactory


class Colour(StrEnum):
    RED = "red"


class Level(Enum):
    HIGH = 3


MOMENT = datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=UTC)
INDIA = timezone(timedelta(hours=5, minutes=30))


async def test_an_id_goes_in_and_comes_out(door: RawSql) -> None:
    chat = await ConversationFactory.create()
    query = "SELECT id FROM conversations WHERE id = :id"
    assert await door.fetch_one(query, {"id": chat.id}, columns={"id": UUID}) == {"id": chat.id}


@pytest.mark.parametrize("moment", [MOMENT, MOMENT.astimezone(INDIA)])
async def test_a_time_goes_in_and_comes_out(door: RawSql, moment: datetime) -> None:
    await ConversationFactory.create(archived_at=MOMENT)
    query = "SELECT archived_at FROM conversations WHERE archived_at = :moment"
    found = await door.fetch_one(query, {"moment": moment}, columns={"archived_at": datetime})
    assert found == {"archived_at": MOMENT}
    await door.execute("UPDATE conversations SET archived_at = :moment", {"moment": moment})
    assert await door.fetch_value("SELECT count(*) FROM conversations WHERE archived_at = :moment", {"moment": MOMENT})


async def test_money_goes_in_and_comes_out(door: RawSql) -> None:
    for cost in ("0.1", "0.2"):
        await LLMCallFactory.create(cost_usd=Decimal(cost))
    query = "SELECT sum(cost_usd) AS total FROM llm_calls WHERE cost_usd > :least"
    found = await door.fetch_one(query, {"least": Decimal("0.05")}, columns={"total": Decimal})
    assert found == {"total": Decimal("0.3")}


async def test_json_goes_in_and_comes_out(door: RawSql) -> None:
    await MessageFactory.create()
    data = {"a": [1, 2.5, None, "é"], "big": 2**70}
    await door.execute("UPDATE messages SET extra_data = :data", {"data": data})
    found = await door.fetch_all("SELECT extra_data FROM messages", columns={"extra_data": dict})
    assert found == [{"extra_data": data}]


async def test_a_vector_goes_in_and_comes_out(door: RawSql) -> None:
    await MemoryEmbeddingFactory.create()
    vector = np.array([0.5, -1.5, 2.0])
    await door.execute("UPDATE memory_embeddings SET embedding = :vector", {"vector": vector})
    found = await door.fetch_one("SELECT embedding FROM memory_embeddings", columns={"embedding": np.ndarray})
    assert found == {"embedding": [0.5, -1.5, 2.0]}


async def test_a_truth_goes_in_and_comes_out(door: RawSql) -> None:
    await ModuleFactory.create(is_active=True)
    query = "SELECT is_active FROM modules WHERE is_active = :active"
    found = await door.fetch_one(query, {"active": True}, columns={"is_active": bool})
    assert found is not None
    assert found["is_active"] is True
    assert await door.fetch_one(query, {"active": False}) is None


@pytest.mark.parametrize("role", [Role.USER, "user"])
async def test_an_enum_is_its_value(door: RawSql, role: str) -> None:
    await MessageFactory.create(role=Role.USER)
    assert await door.fetch_value("SELECT content FROM messages WHERE role = :role", {"role": role})


async def test_numbers_and_text_and_nothing_go_as_they_are(door: RawSql) -> None:
    rows: list[dict[str, object]] = [
        {"id": 2**63 - 1, "text": 'it\'s "quoted" :not_a_parameter', "weight": 0.1},
        {"id": -1, "text": None, "weight": None},
        {"id": 0, "text": Colour.RED, "weight": Level.HIGH},
    ]
    for row in rows:
        await door.execute("INSERT INTO notes VALUES (:id, :text, :weight)", row)
    found = await door.fetch_all("SELECT * FROM notes ORDER BY id")
    assert found == [rows[1], {"id": 0, "text": "red", "weight": 3.0}, rows[0]]


@pytest.mark.parametrize("ids", [[0, 2], (0, 2), [], [7]])
async def test_a_list_is_for_in(door: RawSql, ids: list[int]) -> None:
    await fill(door, 3)
    rows = await door.fetch_all("SELECT id FROM notes WHERE id IN :ids ORDER BY id", {"ids": ids})
    assert rows.column("id") == [number for number in ids if number < 3]


async def test_a_list_of_ids_is_for_in(door: RawSql) -> None:
    chats = await ConversationFactory.create_batch(3)
    wanted = [chat.id for chat in chats[:2]]
    rows = await door.fetch_all("SELECT id FROM conversations WHERE id IN :ids", {"ids": wanted}, columns={"id": UUID})
    assert sorted(rows.column("id"), key=str) == sorted(wanted, key=str)


async def test_bytes_go_as_they_are(door: RawSql, backend: str) -> None:
    await door.execute(f"CREATE TABLE files (data {'BYTEA' if backend == 'postgresql' else 'BLOB'})")
    await door.execute("INSERT INTO files VALUES (:data)", {"data": b"\x00\xff"})
    assert await door.fetch_value("SELECT data FROM files") == b"\x00\xff"


BAD = [
    "NUL \0",
    "surrogate \ud800",
    2**63,
    -(10**40),
    math.nan,
    math.inf,
    datetime(2026, 11, 22),
    Decimal("NaN"),
    Decimal("0.00000000001"),
    {"a": math.nan},
    {1: "one"},
    np.array([0.0]),
    np.array([math.nan]),
    [1, "NUL \0"],
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: ascii(bad)[:20])
async def test_what_cannot_be_stored_is_refused_by_the_parameters_name(door: RawSql, bad: object) -> None:
    for call in (
        door.execute("INSERT INTO notes (text) VALUES (:wrong)", {"wrong": bad}),
        door.fetch_all("SELECT :wrong", {"wrong": bad}),
        door.execute_many("INSERT INTO notes (text) VALUES (:wrong)", [{"wrong": None}, {"wrong": bad}]),
    ):
        with pytest.raises(InvalidInputError) as caught:
            await call
        assert caught.value.field == "wrong"
        assert "NUL \\0" not in str(caught.value)
    assert await door.fetch_value("SELECT count(*) FROM notes") == 0
