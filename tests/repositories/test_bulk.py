"""Many rows at once: what one by one would have made, whole or not at all, on both databases."""

import asyncio
import json
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from hashlib import blake2b
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database import Database, Session
from database.errors import DuplicateError, InvalidInputError, MissingReferenceError, StoreError, TransactionError
from models import Base, Conversation, Memory, Message, Role, State, new_id
from models.values import MAX_INTEGER
from repositories import UnitOfWork
from repositories.bulk import valid_rows
from repositories.message_record import MessageRecord, fingerprint_of
from repositories.validation import valid_row
from tests.factories import ConversationFactory
from tests.support import Statements, on_postgresql

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MANY = 1_101
"""Three batches, all but the last of them full."""

Counted = Callable[[], AbstractContextManager[Statements]]


@pytest.fixture
def always_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """COPY on PostgreSQL for two rows already."""
    monkeypatch.setattr("database.postgres_copy.LEAST_ROWS", 1)


def lines(count: int, **values: object) -> Iterator[dict[str, object]]:
    return ({"role": "user", "content": str(number), **values} for number in range(count))


texts = st.text("ab é", max_size=5)
messages: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", Role.ASSISTANT, "tool"]), "content": texts},
    optional={
        "name": st.none() | st.just("Ada"),
        "sent_at": st.sampled_from([NOON + timedelta(hours=n) for n in range(0, 30, 5)]),
        "input_tokens": st.none() | st.integers(0, 9),
        "output_tokens": st.integers(0, 9),
        "episode": st.none() | st.integers(1, 4),
        "tool_calls": st.sampled_from([[{"id": "a"}], None]),
        "extra_data": st.sampled_from([{}, {"a": [1, None, 1e23, "é"]}]),
        "id": st.sampled_from([UUID(int=number) for number in range(1, 4)]),
    },
)


@settings(max_examples=6)
@given(rows=st.lists(messages, max_size=5))
async def test_many_are_as_one_by_one(
    rows: list[dict[str, Any]], database: Database, session: Session, always_copied: None
) -> None:
    """Places, episodes, counters, replays of an id among them, and the refusal of an id that another message has."""
    rows = [{"sent_at": NOON, **row} for row in rows]

    def told(record: MessageRecord) -> MessageRecord:
        """Less an id that was made for it."""
        return record if record.id.int < 9 else record._replace(id=UUID(int=9))

    async def appended(many: bool) -> object:
        async with UnitOfWork(database) as uow:
            talk = await uow.conversations.create(id=UUID(int=99), title="x")
            try:
                if many:
                    records = list(await uow.messages.append_many(talk.id, rows))
                else:
                    records = [await uow.messages.append(talk.id, **row) for row in rows]
                stored = [told(record) async for record in uow.messages.stream(talk.id)]
                counters = (await uow.conversations.get(talk.id)).model_dump(exclude={"created_at", "updated_at"})
                if not stored:
                    del counters["last_message_at"]
                return [told(record) for record in records], stored, counters
            except DuplicateError as error:
                return error.constraint
            finally:
                await uow.conversations.delete(talk.id)

    assert await appended(many=True) == await appended(many=False)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.sampled_from(["\0", "\ud800", "x" * 300, "user", "2026-03-01T12:00:00Z", str(UUID(int=5)), b"a"]),
    st.integers(-2, 2),
    st.sampled_from([MAX_INTEGER, -MAX_INTEGER, MAX_INTEGER + 1, 10**5_000]),
    st.floats(),
    st.sampled_from([NOON, NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=2)))]),
    st.sampled_from([datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]),
    st.sampled_from(
        [Decimal("0.5"), UUID(int=7), Role.USER, {}, {"a": "\0"}, {"a": [1.5]}, [], [{"id": "a"}], [float("nan")]]
    ),
)
WHOLE: dict[type[Base], dict[str, object]] = {
    Message: {"conversation_id": UUID(int=1), "position": 1, "role": "user", "content": "x", "fingerprint": ""},
    Memory: {"content": "x"},
    State: {"conversation_id": UUID(int=1), "state_key": "k", "state_value": 1, "version": 1},
    Conversation: {"title": "x"},
}
MADE = ("id", "created_at", "updated_at", "sent_at", "last_message_at")


@settings(max_examples=80)
@given(model=st.sampled_from(list(WHOLE)), data=st.data())
def test_rows_are_validated_at_once_as_they_are_alone(model: type[Base], data: st.DataObject) -> None:
    """The same rows, value by value and type by type, or the same refusal."""
    names = st.sampled_from([*model.model_fields, "unknown"])
    changes = data.draw(st.lists(st.dictionaries(names, VALUES, max_size=2), max_size=3))
    rows = [WHOLE[model] | change for change in changes]

    def outcome(validate: Callable[[], list[dict[str, Any]]]) -> object:
        try:
            valid = validate()
        except InvalidInputError as error:
            return str(error)
        return [
            {name: (type(value), repr(value)) for name, value in row.items() if name not in MADE or name in given}
            for row, given in zip(valid, rows, strict=True)
        ]

    assert outcome(lambda: valid_rows(model, rows)) == outcome(lambda: [valid_row(model, row) for row in rows])


@given(name=st.none() | st.text(), content=st.text(), calls=st.sampled_from([None, [], [{"b": "é", "a": 1e23}]]))
def test_a_fingerprint_is_the_hash_of_json(name: str | None, content: str, calls: object) -> None:
    """The stored ones were made so: a replay must be recognised for ever."""
    row = {
        "conversation_id": UUID(int=5),
        "role": Role.USER,
        "name": name,
        "content": content,
        "tool_calls": calls,
        "tool_call_id": None,
    }
    parts = [UUID(int=5).hex, "user", name, content, calls, None]
    assert fingerprint_of(row) == blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


async def test_every_kind_of_value_comes_back(uow: UnitOfWork, always_copied: None) -> None:
    talk = await ConversationFactory.create()
    space = await uow.embedding_spaces.create(name="plane", dimensions=2)
    extra = {"a": [1, 1.0, 1e23, None, True, "é\u2028"], "b": {}}
    call = {"provider": "p", "model": "m", "cost_usd": Decimal("0.0000000001"), "conversation_id": talk.id}
    for id in await uow.llm_calls.create_many(
        [call, call | {"cost_usd": None}, call | {"cost_usd": Decimal("99999999.5")}]
    ):
        stored = await uow.llm_calls.get(id)
        assert stored.cost_usd in (Decimal("0.0000000001"), None, Decimal("99999999.5"))
    chunk = {"source_type": "s", "source_id": "i", "content": "c", "vector": [0.1, -2.0], "extra_data": extra}
    for id in await uow.embeddings.create_many([chunk | {"chunk": n} for n in range(3)], space=space):
        found = await uow.embeddings.get(id)
        assert found.embedding == pytest.approx([0.1, -2.0], abs=1e-6)
        assert found.extra_data == extra
    memory = {"content": "x\t\\N\n", "importance": 0.1, "occurred_at": NOON.astimezone(timezone(timedelta(hours=5)))}
    for id in await uow.memories.create_many([memory, memory | {"conversation_id": talk.id}]):
        kept = await uow.memories.get(id)
        assert (kept.content, kept.importance, kept.occurred_at) == ("x\t\\N\n", 0.1, NOON)


async def test_many_cost_a_statement_for_each_500(uow: UnitOfWork, statements: Counted) -> None:
    talk = await ConversationFactory.create()
    with statements() as seen:
        await uow.messages.append_many(talk.id, lines(MANY))
    assert len(seen) == 2 + 3, "lock, three inserts, counters"
    with statements() as seen:
        await uow.memories.create_many({"content": "x"} for _ in range(MANY))
    assert len(seen) == 3


BAD: dict[str, tuple[Mapping[str, object], type[StoreError], str]] = {
    "a refused value": ({"content": "a\0"}, InvalidInputError, "content: text must not contain NUL"),
    "an id twice": ({"id": UUID(int=3)}, DuplicateError, "pk_conversation_memory"),
    "a talk that is not there": (
        {"conversation_id": UUID(int=4)},
        MissingReferenceError,
        "fk_conversation_memory_conversation_id_conversations",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_one_bad_row_in_the_last_batch_leaves_nothing(fresh_database: Database, backend: str, name: str) -> None:
    """Also of a unit that has sent nothing before."""
    bad, kind, told = BAD[name]
    rows: list[Mapping[str, object]] = [{"content": "x"} for _ in range(MANY)]
    rows[3] = {"content": "x", "id": UUID(int=3)}
    rows[-2] = {"content": "x", **bad}
    with pytest.raises(kind) as refused:
        async with UnitOfWork(fresh_database) as uow:
            await uow.memories.create_many(rows)
    # SQLite does not tell which foreign key it is.
    assert told in str(refused.value) or (kind is MissingReferenceError and backend == "sqlite")
    async with UnitOfWork(fresh_database) as uow:
        assert await uow.memories.count() == 0
        assert len(await uow.memories.create_many({"content": "x"} for _ in range(60))) == 60


async def test_an_id_twice_in_a_batch_breaks_the_unit_as_any_failed_statement(fresh_database: Database) -> None:
    rows = [{"content": "x", "id": id} for id in [uuid4() for _ in range(60)] * 2]

    async def unit() -> None:
        async with UnitOfWork(fresh_database) as uow:
            with pytest.raises(DuplicateError) as refused:
                async with uow.nested():
                    await uow.memories.create_many(rows)
            assert refused.value.constraint == "pk_conversation_memory"
            assert await uow.memories.count() == 0
            with pytest.raises(DuplicateError):
                await uow.memories.create_many(rows)
            with pytest.raises(TransactionError):
                await uow.memories.count()

    with pytest.raises(TransactionError):
        await unit()


async def test_a_message_id_of_another_talk_is_refused(uow: UnitOfWork) -> None:
    first, second = await ConversationFactory.create(), await ConversationFactory.create()
    [said] = await uow.messages.append_many(first.id, lines(1, id=uuid4()))
    rows = [*lines(MANY), {"role": "user", "content": "0", "id": said.id}]
    with pytest.raises(DuplicateError) as refused:
        async with uow.nested():
            await uow.messages.append_many(second.id, rows)
    assert refused.value.constraint == "pk_messages"
    assert await uow.messages.count(second.id) == 0
    assert (await uow.conversations.get(second.id)).message_count == 0


async def test_known_and_new_ids_are_mixed_over_batches(uow: UnitOfWork) -> None:
    talk = await ConversationFactory.create()
    rows = [{"role": "user", "content": str(n), "id": new_id(), "output_tokens": 1} for n in range(MANY)]
    await uow.messages.append_many(talk.id, rows[::2])
    records = await uow.messages.append_many(talk.id, iter([*rows, *rows[:3]]))
    assert [record.id for record in records] == [row["id"] for row in [*rows, *rows[:3]]]
    assert sorted({record.position for record in records}) == [*range(1, MANY + 1)]
    kept = await uow.conversations.get(talk.id)
    assert (kept.message_count, kept.last_position, kept.output_tokens) == (MANY, MANY, MANY)


async def test_a_bulk_import_that_is_cancelled_leaves_nothing(fresh_database: Database) -> None:
    begun = asyncio.Event()

    def rows() -> Iterator[dict[str, object]]:
        for number in range(5_000):
            if number == 1_500:
                begun.set()
            yield {"content": "word " * 20}

    async def store() -> None:
        async with UnitOfWork(fresh_database) as uow:
            await uow.memories.create_many(rows())

    task = asyncio.create_task(store())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with UnitOfWork(fresh_database) as uow:
        assert await uow.memories.count() == 0


@on_postgresql
async def test_who_watches_statements_sees_a_copy(uow: UnitOfWork, statements: Counted) -> None:
    with statements() as seen:
        await uow.memories.create_many({"content": "x"} for _ in range(60))
    [statement] = seen
    assert statement.startswith("INSERT INTO conversation_memory")


@pytest.mark.slow
async def test_memory_stays_flat(fresh_database: Database) -> None:
    """In portions of a unit, as docs/bulk.md shows: what a portion returns is not kept."""

    async def peak(count: int) -> int:
        waiting = lines(count)
        async with UnitOfWork(fresh_database) as uow:
            talk = await uow.conversations.create(title="x")
            tracemalloc.start()
            while await uow.messages.append_many(talk.id, islice(waiting, 2_000)):
                pass
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        return most

    await peak(2_000)
    few = await peak(4_000)
    assert await peak(50_000) < 1.5 * few
