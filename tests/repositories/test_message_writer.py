"""Group write: each caller its own place or its own error, whatever becomes of the others that are stored with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from uuid import UUID, uuid4

import pytest

from database import Database, Settings
from database.errors import (
    DuplicateError,
    InvalidInputError,
    NotConnectedError,
    NotFoundError,
    PoolTimeoutError,
    TransactionError,
)
from repositories import MessageRecord, MessageWriter, UnitOfWork
from tests.support import LOCK_WAITS, Statements, on_postgresql, on_sqlite

Counted = Callable[[], AbstractContextManager[Statements]]


async def new_talks(database: Database, count: int, *, owner_id: str | None = None) -> list[UUID]:
    async with UnitOfWork(database, owner_id=owner_id) as uow:
        return [(await uow.conversations.create(title="talk")).id for _ in range(count)]


def in_one_lane(writer: MessageWriter) -> MessageWriter:
    """So that what waits together is one group."""
    del writer._lanes[1:]
    return writer


async def told(calls: Sequence[Awaitable[MessageRecord]]) -> list[object]:
    """For each call its position, or the type of its error."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    return [one.position if isinstance(one, MessageRecord) else type(one) for one in found]


async def contents(database: Database, talk: UUID) -> list[str]:
    """Of a talk that is whole: positions without a gap, counters that equal the rows."""
    async with UnitOfWork(database) as uow:
        history = await uow.messages.history(talk, last=1000)
        row = await uow.conversations.get(talk)
    assert [record.position for record in history] == [*range(1, len(history) + 1)]
    assert (row.last_position, row.message_count) == (len(history), len(history))
    assert row.input_tokens == sum(record.input_tokens or 0 for record in history)
    assert not history or row.last_message_at == history[-1].sent_at
    return [record.content for record in history]


@asynccontextmanager
async def held(database: Database, talk: UUID) -> AsyncIterator[UnitOfWork]:
    """The conversation is locked by a unit: a group that has a message for it is under way until the end."""
    async with UnitOfWork(database) as uow:
        await uow.conversations.lock(talk)
        yield uow


async def under_way(database: Database, backend: str) -> None:
    """On PostgreSQL until a group waits for a lock; on SQLite until it waits for the connection."""
    for _ in range(10):
        await asyncio.sleep(0)
    while backend == "postgresql" and not await database.fetch_value(LOCK_WAITS):
        # Each question is a round trip: time for the others.
        pass


async def test_the_order_of_the_calls_is_kept_in_each_conversation(store: Database) -> None:
    talks = await new_talks(store, 3)
    async with MessageWriter(store) as writer:
        calls = [
            writer.append(talks[n % 3], role="user", content=str(n), input_tokens=n, extra_data={"n": [n, 1e23]})
            for n in range(60)
        ]
        records = await asyncio.gather(*calls)
    assert [record.position for record in records] == [n // 3 + 1 for n in range(60)]
    for place, talk in enumerate(talks):
        assert await contents(store, talk) == [str(n) for n in range(place, 60, 3)]
        async with UnitOfWork(store) as uow:
            assert await uow.messages.history(talk) == records[place::3], "a record is what is read"


async def test_what_waits_together_is_stored_together(store: Database, statements: Counted, backend: str) -> None:
    talks = await new_talks(store, 4)
    async with in_one_lane(MessageWriter(store)) as writer:
        with statements() as seen:
            await asyncio.gather(*(writer.append(talk, role="user", content="a") for talk in talks * 5))
        assert len(seen) == (1 if backend == "postgresql" else 3)
        with statements() as seen:
            await asyncio.gather(*(writer.append(talk, role="user", content="b", id=uuid4()) for talk in talks * 5))
        assert len(seen) == (2 if backend == "postgresql" else 4), "ids of clients are looked at"


@on_postgresql
async def test_lanes_have_as_much_to_do_as_each_other(store: Database) -> None:
    talks = await new_talks(store, 8)
    async with MessageWriter(store) as writer:
        one, other = writer._lanes
        calls = [asyncio.create_task(writer.append(talk, role="user", content="a")) for talk in talks * 2]
        await asyncio.sleep(0)
        assert (one.load, other.load) == (8, 8)
        assert not one.conversations.keys() & other.conversations.keys(), "a conversation is in one of them"
        await asyncio.gather(*calls)
        assert (one.load, other.load, one.conversations, other.conversations) == (0, 0, {}, {})


async def test_a_group_has_an_end(store: Database, statements: Counted, backend: str) -> None:
    [talk] = await new_talks(store, 1)
    texts = ["x" * 900_000] * 5
    async with MessageWriter(store) as writer:
        with statements() as seen:
            await asyncio.gather(*(writer.append(talk, role="user", content=text) for text in texts))
    assert len(seen) == 2 * (1 if backend == "postgresql" else 3)
    assert await contents(store, talk) == texts


async def test_a_bad_one_gets_its_error_and_the_others_are_stored(store: Database) -> None:
    talks = await new_talks(store, 2)
    [foreign] = await new_talks(store, 1, owner_id="bob")
    taken = uuid4()
    async with in_one_lane(MessageWriter(store)) as writer:
        await writer.append(talks[0], role="user", content="0", id=taken)
        found = await told(
            [
                writer.append(talks[0], role="user", content="1"),
                writer.append(talks[0], role="nobody", content="bad"),
                writer.append(uuid4(), role="user", content="lost"),
                writer.append(foreign, role="user", content="no", owner_id="ada"),
                writer.append(talks[1], role="user", content="1"),
                writer.append(talks[1], role="user", content="0", id=taken),
                writer.append(talks[0], role="user", content="other", id=taken),
                writer.append(foreign, role="user", content="1", owner_id="bob"),
                writer.append(talks[0], role="user", content="2", vector=[1.0]),
                writer.append(talks[0], role="user", content="2"),
            ]
        )
    none, twice, bad = NotFoundError, DuplicateError, InvalidInputError
    assert found == [2, bad, none, none, 1, twice, twice, 1, bad, 3]
    assert [await contents(store, talk) for talk in (*talks, foreign)] == [["0", "1", "2"], ["1"], ["1"]]


async def test_what_the_database_refuses_is_refused_alone(fresh_database: Database) -> None:
    await fresh_database.execute("CREATE UNIQUE INDEX one_name ON messages (name)")
    talks = await new_talks(fresh_database, 3)
    async with in_one_lane(MessageWriter(fresh_database)) as writer:
        names = ["ada", "bob", "ada", "eve", "ian", "bob"]
        found = await told(
            [writer.append(talks[n % 2], role="user", name=name, content=name) for n, name in enumerate(names)]
        )
        whole = await writer.append(talks[2], role="user", content="after it")
    assert found == [1, 1, DuplicateError, 2, 2, DuplicateError]
    assert [await contents(fresh_database, talk) for talk in talks[:2]] == [["ada", "ian"], ["bob", "eve"]]
    assert whole.position == 1


async def test_a_message_that_is_sent_twice_is_stored_once(store: Database, statements: Counted, backend: str) -> None:
    [talk] = await new_talks(store, 1)
    key = uuid4()
    async with MessageWriter(store) as writer:
        twice = [writer.append(talk, role="user", content="once", id=key) for _ in range(3)]
        other = writer.append(talk, role="user", content="other", id=key)
        with statements() as seen:
            first, second, third, refused = await asyncio.gather(*twice, other, return_exceptions=True)
        assert len(seen) == (8 if backend == "postgresql" else 4 + 3 * 2), "none of them spoils a group"
        assert first == second == third
        assert isinstance(refused, DuplicateError)
        async with UnitOfWork(store) as uow:
            await uow.messages.edit(key, content="edited")
        again = await writer.append(talk, role="user", content="once", id=key)
    assert (again.position, again.content) == (1, "edited")
    assert await contents(store, talk) == ["edited"]


async def test_an_id_that_a_unit_stores_meanwhile(store: Database, backend: str) -> None:
    talks = await new_talks(store, 2)
    keys = [uuid4(), uuid4()]
    async with in_one_lane(MessageWriter(store)) as writer:
        async with held(store, talks[0]) as uow:
            await uow.messages.append(talks[0], role="user", content="mine", id=keys[0])
            await uow.messages.append(talks[0], role="user", content="mine", id=keys[1])
            waiting = [
                asyncio.create_task(writer.append(talks[1], role="user", content="a")),
                asyncio.create_task(writer.append(talks[0], role="user", content="mine", id=keys[0])),
                asyncio.create_task(writer.append(talks[0], role="user", content="not mine", id=keys[1])),
                asyncio.create_task(writer.append(talks[0], role="user", content="b")),
            ]
            await under_way(store, backend)
        assert await told(waiting) == [1, 1, DuplicateError, 3]
    assert await contents(store, talks[0]) == ["mine", "mine", "b"]
    assert await contents(store, talks[1]) == ["a"]


async def test_an_id_that_a_unit_stores_meanwhile_for_one_alone(store: Database, backend: str) -> None:
    [talk], key = await new_talks(store, 1), uuid4()
    async with MessageWriter(store) as writer:
        async with held(store, talk) as uow:
            stored = await uow.messages.append(talk, role="user", content="mine", id=key)
            waiting = asyncio.create_task(writer.append(talk, role="user", content="mine", id=key))
            await under_way(store, backend)
        assert await waiting == stored


async def test_a_caller_that_is_cancelled_harms_nobody(store: Database, backend: str) -> None:
    [talk] = await new_talks(store, 1)

    def say(text: str) -> asyncio.Task[MessageRecord]:
        return asyncio.create_task(writer.append(talk, role="user", content=text))

    async with MessageWriter(store) as writer:
        async with held(store, talk):
            sent = [say("sent"), say("sent and cancelled"), say("sent")]
            await under_way(store, backend)
            waiting = [say("waits"), say("cancelled"), say("waits")]
            await asyncio.sleep(0)
            sent[1].cancel()
            waiting[1].cancel()
        found = await asyncio.gather(*sent, *waiting, return_exceptions=True)
    cancelled = [isinstance(one, asyncio.CancelledError) for one in found]
    assert cancelled == [False, True, False, False, True, False]
    assert await contents(store, talk) in (
        ["sent", "sent", "waits", "waits"],
        ["sent", "sent and cancelled", "sent", "waits", "waits"],
    )


async def test_closing_waits_for_what_was_taken(store: Database, backend: str) -> None:
    [talk] = await new_talks(store, 1)
    writer = MessageWriter(store, max_waiting=3)
    async with held(store, talk):
        taken = [asyncio.create_task(writer.append(talk, role="user", content=str(n))) for n in range(4)]
        await under_way(store, backend)
        closing = asyncio.create_task(writer.close())
        await asyncio.sleep(0)
        assert not closing.done()
    await closing
    assert all(task.done() for task in taken[:3])
    assert await told(taken) == [1, 2, 3, NotConnectedError]
    with pytest.raises(NotConnectedError):
        await writer.append(talk, role="user", content="late")
    await writer.close()
    assert await contents(store, talk) == ["0", "1", "2"]


async def test_overload_is_told(fresh_url: str) -> None:
    settings = Settings.model_validate({"database_url": fresh_url, "pool_timeout": 0.3})
    async with Database(settings) as database, MessageWriter(database, max_waiting=2) as writer:
        [talk] = await new_talks(database, 1)
        is_held, let_go = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with held(database, talk):
                is_held.set()
                await let_go.wait()

        holding = asyncio.create_task(hold())
        await is_held.wait()
        calls = [asyncio.create_task(writer.append(talk, role="user", content=str(n))) for n in range(4)]
        assert await told(calls[2:]) == [PoolTimeoutError, PoolTimeoutError]
        let_go.set()
        await holding
        # On SQLite they wait for the connection that the unit holds, and that is as long.
        assert await told(calls[:2]) in ([1, 2], [PoolTimeoutError, PoolTimeoutError])
        await writer.append(talk, role="user", content="after it")
        assert (await contents(database, talk))[-1] == "after it"


async def test_a_writer_of_one_owner(store: Database) -> None:
    [own], [foreign] = await new_talks(store, 1, owner_id="ada"), await new_talks(store, 1, owner_id="bob")
    async with MessageWriter(store, owner_id="ada") as writer:
        calls = [writer.append(talk, role="user", content="a") for talk in (own, foreign)]
        assert await told([*calls, writer.append(own, role="user", content="b", owner_id="bob")]) == [
            1,
            NotFoundError,
            InvalidInputError,
        ]
    with pytest.raises(InvalidInputError):
        MessageWriter(store, owner_id="a\0")
    assert await contents(store, foreign) == []


@on_sqlite
async def test_in_a_unit_it_would_wait_for_ever(store: Database) -> None:
    [talk] = await new_talks(store, 1)
    async with MessageWriter(store) as writer, UnitOfWork(store):
        with pytest.raises(TransactionError):
            await writer.append(talk, role="user", content="a")


async def test_a_database_that_is_closed_is_told(fresh_url: str) -> None:
    database = Database(fresh_url)
    with pytest.raises(NotConnectedError):
        await MessageWriter(database).append(uuid4(), role="user", content="a")


async def test_in_a_sandbox_nothing_is_left(store: Database) -> None:
    async with store.sandbox() as session:
        async with UnitOfWork(store) as uow:
            talk = (await uow.conversations.create(title="tried")).id
        async with MessageWriter(store) as writer:
            assert (await writer.append(talk, role="user", content="a")).position == 1
        assert session is not None
    async with UnitOfWork(store) as uow:
        assert not await uow.conversations.exists(talk)


async def test_writers_and_units_beside_each_other(store: Database) -> None:
    talks = await new_talks(store, 3)
    first, second = MessageWriter(store), MessageWriter(store)

    async def unit(talk: UUID, text: str) -> MessageRecord:
        async with UnitOfWork(store) as uow:
            return await uow.messages.append(talk, role="user", content=text, input_tokens=1)

    async def write(task: int) -> None:
        for n in range(6):
            talk, text = talks[(task + n) % 3], f"{task} {n}"
            if task % 3 == 0:
                await unit(talk, text)
            else:
                await (first, second)[task % 2].append(talk, role="user", content=text, input_tokens=1)

    async with first, second:
        await asyncio.gather(*(write(task) for task in range(9)))
    texts = [await contents(store, talk) for talk in talks]
    assert {text for of_talk in texts for text in of_talk} == {f"{task} {n}" for task in range(9) for n in range(6)}
    assert sum(map(len, texts)) == 54
    for of_talk in texts:
        for task in range(9):
            of_task = [text for text in of_talk if text.startswith(f"{task} ")]
            assert of_task == sorted(of_task), "each task's own order"
