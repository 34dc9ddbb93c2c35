"""No password, parameter, text or vector is found in an error, a traceback, a log line or a repr."""

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from database import Database, Session, Settings, StoreError
from models import Conversation, Role, metadata
from repositories import UnitOfWork
from tests.factories import AsyncFactory, ConversationFactory, MemoryFactory, MessageFactory, PersonaFactory, RunFactory
from tests.models.catalogue import FACTORIES, insert

# The same in every process of the suite; no line that a traceback quotes holds them.
SECRET = "6deafbc078374183a3161dc651fd8d61"
NUMBER = 123_456_789_012
VECTOR = [10_000.25 + NUMBER % 50_000, 1.0]
NEEDLES = (SECRET, str(NUMBER), str(VECTOR[0]))


def assert_silent(*texts: object) -> None:
    for text in texts:
        for needle in NEEDLES:
            assert needle not in str(text)


def everything_of(error: BaseException) -> Iterator[str]:
    """What a log, a debugger and an error tracker without locals would show of an error and of those behind it."""
    yield "".join(traceback.format_exception(error))
    links: list[BaseException] = [error]
    for link in links:
        yield f"{link} {link!r} {link.args} {vars(link)}"
        links += [one for one in (link.__cause__, link.__context__) if one is not None and one not in links]


async def in_a_unit(database: Database, work: Callable[[Session], Awaitable[object]]) -> None:
    async with database.transaction() as session:
        await work(session)


async def twice(session: Session) -> None:
    message = await MessageFactory.create(session, content=SECRET, conversation_id__title=SECRET)
    await insert(session, message)


async def without_parent(session: Session) -> None:
    message = MessageFactory.build(content=SECRET, extra_data={SECRET: NUMBER})
    session.add(message)
    await session.flush()


async def too_long(session: Session) -> None:
    await insert(session, ConversationFactory.build(), title=SECRET * 20)


async def no_word(session: Session) -> None:
    await insert(session, MessageFactory.build(), role=SECRET)


async def naive(session: Session) -> None:
    await insert(session, MessageFactory.build(content=SECRET), sent_at=datetime(2026, 11, 22))


async def bad_json(session: Session) -> None:
    await insert(session, MessageFactory.build(), extra_data={SECRET: float("nan"), "n": NUMBER})


async def deep_json(session: Session) -> None:
    value: list[object] = [SECRET]
    for _ in range(600):
        value = [value]
    await insert(session, MessageFactory.build(), extra_data={"a": value})


async def bad_money(session: Session) -> None:
    call = FACTORIES["llm_calls"].build()
    await insert(session, call, cost_usd=Decimal(NUMBER) / Decimal(10**11))


async def no_vector(session: Session) -> None:
    row = FACTORIES["memory_embeddings"].build()
    await insert(session, row, embedding=[*VECTOR, float("inf")])


async def vector_without_parent(session: Session) -> None:
    await insert(session, FACTORIES["memory_embeddings"].build(embedding=VECTOR))


async def null_in_its_place(session: Session) -> None:
    await insert(session, MessageFactory.build(content=SECRET), role=None)


async def goes_on(session: Session) -> None:
    try:
        await without_parent(session)
    except StoreError:
        await session.core()


UNITS = [
    twice,
    without_parent,
    too_long,
    no_word,
    naive,
    bad_json,
    deep_json,
    bad_money,
    no_vector,
    vector_without_parent,
    null_in_its_place,
    goes_on,
]

STATEMENTS: list[tuple[str, dict[str, object]]] = [
    ("INSERT INTO conversations (id, title) VALUES (:id, :title)", {"id": uuid4(), "title": SECRET}),
    ("INSERT INTO personas (id, name, template) VALUES (:id, :name, :name)", {"id": uuid4(), "name": SECRET * 20}),
    ("INSERT INTO nowhere VALUES (:value)", {"value": SECRET}),
    ("SELEC :value", {"value": SECRET}),
    ("UPDATE conversations SET title = :value WHERE nothing = 1", {"value": SECRET}),
    ("UPDATE conversations SET title = :value", {"value": SECRET + "\0"}),
    ("UPDATE conversations SET title = :value", {"value": SECRET + "\ud800"}),
    ("UPDATE conversations SET title = :value", {"value": SECRET, "other": SECRET}),
    ("UPDATE conversations SET message_count = :value", {"value": 10**20 * NUMBER}),
    ("UPDATE conversations SET message_count = :value", {"value": -NUMBER}),
    ("UPDATE llm_calls SET cost_usd = :value", {"value": Decimal(NUMBER) / Decimal(10**11)}),
    ("UPDATE conversations SET extra_data = :value", {"value": {SECRET: {1: NUMBER}}}),
    ("UPDATE memory_embeddings SET embedding = :value", {"value": np.array([*VECTOR, np.nan])}),
    ("UPDATE conversations SET id = CAST(:value AS UUID) WHERE id = :value", {"value": SECRET}),
    ("UPDATE conversations SET last_message_at = CAST(:value AS TIMESTAMPTZ)", {"value": SECRET}),
]


class Collected(logging.Handler):
    """Every log line of every library, as text and as what a tracker of errors would take of it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # factory-boy tells at DEBUG what a test asks it for.
        if not record.name.startswith("factory"):
            self.lines.append(f"{self.format(record)} {record.args}")


@contextmanager
def collecting() -> Iterator[Collected]:
    """What is logged inside the block, at every level."""
    root, collected = logging.getLogger(), Collected()
    before = root.level
    root.addHandler(collected)
    root.setLevel(logging.DEBUG)
    yield collected
    root.removeHandler(collected)
    root.setLevel(before)


@pytest.fixture
def log() -> Iterator[Collected]:
    with collecting() as collected:
        yield collected
    assert_silent(*collected.lines)


@pytest.fixture(params=["quiet", "echo"])
async def database(fresh_url: str, request: pytest.FixtureRequest, log: Collected) -> AsyncIterator[Database]:
    echo = request.param == "echo"
    settings = Settings.model_validate({"database_url": fresh_url, "echo": echo, "slow_query_ms": 0.000_001})
    async with Database(settings) as database:
        async with database.transaction() as session:
            await MessageFactory.create(session, content=SECRET, conversation_id__title=SECRET)
        yield database
    assert any("slow_query" in line for line in log.lines)
    assert any("SQL parameters hidden" in line for line in log.lines) == echo


async def test_nothing_is_told_by_a_refused_write(database: Database) -> None:
    for unit in UNITS:
        with pytest.raises(StoreError) as caught:
            await in_a_unit(database, unit)
        assert_silent(*everything_of(caught.value))
    assert_silent(repr(await database.health()))


async def test_nothing_is_told_by_a_refused_statement(database: Database, backend: str) -> None:
    for sql, params in STATEMENTS:
        try:
            await database.execute(sql, params)
        except StoreError as error:
            assert_silent(*everything_of(error))
        else:
            assert backend == "sqlite"
            assert "CAST(" in sql
        with pytest.raises(StoreError) as caught:
            await database.execute_many(sql, [params, {**params, "more": SECRET}])
        assert_silent(*everything_of(caught.value))


async def test_nothing_is_told_by_a_repr(database: Database) -> None:
    async with UnitOfWork(database, owner_id="ada") as uow:
        chat = await uow.conversations.create(title=SECRET)
        message = await uow.messages.append(chat.id, role=Role.USER, content=SECRET, extra_data={SECRET: NUMBER})
        records = await uow.messages.history(chat.id)
        assert records
        shown = [uow, uow.session, uow.messages, chat, message, list(records), database, database.settings]
        shown += [await uow.session.connection(), sa.inspect(chat), metadata]
        assert_silent(*shown, *map(repr, shown))
    assert_silent(repr(database), repr(database.settings), repr(await database.health()))


def test_nothing_is_told_by_a_refused_entity() -> None:
    refused: list[tuple[type[AsyncFactory[Any]], dict[str, object]]] = [
        (MessageFactory, {"content": SECRET + "\0"}),
        (MessageFactory, {"role": SECRET}),
        (MessageFactory, {"position": SECRET}),
        (MessageFactory, {"sent_at": SECRET}),
        (MessageFactory, {"extra_data": {SECRET: {1: SECRET}}}),
        (MemoryFactory, {"importance": NUMBER}),
        (RunFactory, {"result": {SECRET}}),
        (PersonaFactory, {"mode": SECRET * 3}),
    ]
    for factory, fields in refused:
        with pytest.raises(ValidationError) as caught:
            factory.build(**fields)
        assert_silent(*everything_of(caught.value))


@pytest.mark.parametrize("table", sorted(FACTORIES))
def test_nothing_is_told_by_an_entity(table: str) -> None:
    names = FACTORIES[table]._meta.model.model_fields
    texts = {name: SECRET for name in ("title", "content", "name", "template", "error", "actor") if name in names}
    entity = FACTORIES[table].build(**texts)
    assert_silent(entity, repr(entity), [entity], {"a": entity})


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://ada:{SECRET}@127.0.0.1:1/chat",
        f"postgresql://127.0.0.1:1/chat?user=ada&password={SECRET}",
        f"postgresql://ada:{SECRET}@/chat?host=/not/there",
        f"postgresql://ada:{SECRET}?x@127.0.0.1:1/chat?sslmode=require",
        f"postgresql://ada:{SECRET}@127.0.0.1:1,127.0.0.1:2/chat",
        f"postgresql://ada:{SECRET}@127.0.0.1:1/chat?sslmode=verify-full&sslrootcert=/not/there",
        f"mysql://ada:{SECRET}@127.0.0.1/chat",
        f"postgresql://ada:{SECRET}@127.0.0.1:port/chat",
        f"ada:{SECRET}@127.0.0.1",
        SECRET,
    ],
)
async def test_nothing_is_told_of_a_password(address: str, log: Collected) -> None:
    settings = Settings.model_validate({"database_url": address, "echo": True})
    with pytest.raises(StoreError) as caught:
        await use(settings)
    assert_silent(*everything_of(caught.value), repr(settings), settings.model_dump_json())


async def use(settings: Settings) -> None:
    async with Database(settings) as database:
        assert_silent(repr(database), repr(database.url), str(database.url), repr(await database.health()))
        for work in (database.execute("SELECT 1"), database.fetch_all("SELECT 1"), database.migrate()):
            with pytest.raises(StoreError) as caught:
                await work
            assert_silent(*everything_of(caught.value))
        await database.execute("SELECT 1")


async def test_a_refused_login_tells_no_password(postgres_server: str, log: Collected) -> None:
    address = str(sa.make_url(postgres_server).set(username="nobody_here", password=SECRET).render_as_string(False))
    with pytest.raises(StoreError) as caught:
        await use(Settings.model_validate({"database_url": address}))
    assert_silent(*everything_of(caught.value))


@pytest.mark.parametrize("text", [f"title={SECRET}", NUMBER, VECTOR, Conversation(title=SECRET).model_dump()])
def test_the_needles_would_be_found(text: object) -> None:
    with pytest.raises(AssertionError):
        assert_silent(text)
