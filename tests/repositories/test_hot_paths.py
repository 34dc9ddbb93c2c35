"""What each call costs that happens at every turn of a conversation: counts, which no load of the machine changes."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from benchmarks.calls import count_calls
from database import Database
from models import EmbeddingSpace
from repositories import MessageWriter, UnitOfWork

Verb = Callable[[UnitOfWork, UUID], Awaitable[object]]


async def append(uow: UnitOfWork, talk: UUID) -> object:
    return await uow.messages.append(talk, role="user", content="I live in Oslo.")


async def history(uow: UnitOfWork, talk: UUID) -> object:
    return await uow.messages.history(talk, last=50)


async def get(uow: UnitOfWork, talk: UUID) -> object:
    return await uow.conversations.get(talk)


async def set_state(uow: UnitOfWork, talk: UUID) -> object:
    return await uow.states.set(talk, "city", "Oslo")


async def get_state(uow: UnitOfWork, talk: UUID) -> object:
    return await uow.states.get(talk, "city")


async def recall(uow: UnitOfWork, talk: UUID) -> object:
    return await uow.memories.recall([1.0, 0.5], conversation_id=talk, space=PLANE, limit=10)


async def remember(uow: UnitOfWork, talk: UUID) -> object:
    return await uow.memories.remember("Oslo", conversation_id=talk, vector=[1.0, 0.5], space=PLANE)


async def save_run(uow: UnitOfWork, talk: UUID) -> object:
    return await uow.runs.save(actor="researcher", conversation_id=talk, status="running", request_payload={"q": "?"})


async def save_over_a_run(uow: UnitOfWork, talk: UUID) -> object:
    return await uow.runs.save(id=RUN, actor="researcher", status="running", result={"answer": 42})


async def a_run(uow: UnitOfWork, talk: UUID) -> object:
    run = await uow.runs.save(actor="researcher")
    await uow.runs.start(run.id)
    return await uow.runs.finish(run.id, "succeeded", result={"answer": 42})


async def a_step(uow: UnitOfWork, talk: UUID) -> object:
    step = await uow.runs.add_step(RUN, name="search")
    await uow.steps.start(step.id)
    return await uow.steps.finish(step.id, "succeeded")


async def a_call(uow: UnitOfWork, talk: UUID) -> object:
    return await uow.runs.add_llm_call(RUN, provider="openai", model="small", input_tokens=7)


RUN = UUID(int=2)
PLANE = EmbeddingSpace(id=UUID(int=1), name="plane", dimensions=2)

COSTS: dict[Verb, tuple[bool, dict[str, tuple[int, int, int]]]] = {
    # verb: only reads, and by database: the most function calls, statements, and waits for the server or a thread
    append: (False, {"postgresql": (610, 1, 3), "sqlite": (645, 2, 3)}),
    history: (True, {"postgresql": (690, 1, 1), "sqlite": (730, 1, 1)}),
    get: (True, {"postgresql": (360, 1, 1), "sqlite": (340, 1, 1)}),
    set_state: (False, {"postgresql": (640, 1, 3), "sqlite": (550, 1, 2)}),
    remember: (False, {"postgresql": (715, 1, 3), "sqlite": (755, 2, 3)}),
    save_run: (False, {"postgresql": (720, 1, 3), "sqlite": (635, 1, 2)}),
    save_over_a_run: (False, {"postgresql": (915, 2, 4), "sqlite": (800, 2, 3)}),
    a_run: (False, {"postgresql": (1165, 3, 5), "sqlite": (1095, 3, 4)}),
    a_step: (False, {"postgresql": (1110, 3, 5), "sqlite": (1180, 4, 5)}),
    a_call: (False, {"postgresql": (650, 1, 3), "sqlite": (565, 1, 2)}),
    recall: (True, {"postgresql": (550, 1, 1), "sqlite": (500, 1, 1)}),
    get_state: (True, {"postgresql": (330, 1, 1), "sqlite": (330, 1, 1)}),
}
"""Calls: what was counted, and a twentieth more, since Python and the drivers have releases too."""


@pytest.fixture(scope="module")
async def talk(store: Database) -> UUID:
    """One for all verbs: what one of them adds to it changes no count of another."""
    return await a_talk(store, messages=100)


@pytest.mark.parametrize("verb", COSTS, ids=lambda verb: verb.__name__)
async def test_an_operation_costs_what_it_did(store: Database, talk: UUID, backend: str, verb: Verb) -> None:
    only_reads, costs = COSTS[verb]

    async def operation() -> None:
        async with UnitOfWork(store, read_only=only_reads) as uow:
            await verb(uow, talk)

    counted = await count_calls(operation)
    function_calls, statements, round_trips = costs[backend]
    assert (counted.statements, counted.round_trips) == (statements, round_trips), counted.sent
    assert counted.function_calls <= function_calls


async def test_a_message_of_a_writer_costs_what_it_did(store: Database, talk: UUID, backend: str) -> None:
    async with MessageWriter(store) as writer:

        async def operation() -> None:
            await writer.append(talk, role="user", content="I live in Oslo.")

        counted = await count_calls(operation)
    function_calls, statements, round_trips = {"postgresql": (650, 1, 1), "sqlite": (1690, 3, 4)}[backend]
    assert (counted.statements, counted.round_trips) == (statements, round_trips), counted.sent
    assert counted.function_calls <= function_calls


@pytest.mark.slow
@pytest.mark.parametrize("verb", [append, history], ids=lambda verb: verb.__name__)
async def test_a_long_conversation_costs_what_a_short_one_does(fresh_database: Database, verb: Verb) -> None:
    counts = []
    for messages in (100, 10_000):
        talk = await a_talk(fresh_database, messages=messages)

        async def operation(talk: UUID = talk) -> None:
            async with UnitOfWork(fresh_database) as uow:
                await verb(uow, talk)

        counted = await count_calls(operation)
        counts.append((counted.function_calls, counted.statements, counted.round_trips))
    # The bytes of an answer come in as many pieces as the socket likes.
    assert counts[1][1:] == counts[0][1:]
    assert abs(counts[1][0] - counts[0][0]) <= 20


async def a_talk(database: Database, *, messages: int) -> UUID:
    async with UnitOfWork(database) as uow:
        talk = await uow.conversations.create(title="Moving north")
        lines = ({"role": "user", "content": f"message {number}"} for number in range(messages))
        await uow.messages.append_many(talk.id, lines)
        await uow.states.set(talk.id, "city", "Bergen")
        await uow.runs.save(id=RUN, actor="researcher", status="running")
        if await uow.embedding_spaces.count() == 0:
            await uow.embedding_spaces.create(id=PLANE.id, name=PLANE.name, dimensions=PLANE.dimensions)
        for number in range(20):
            await uow.memories.remember("Oslo", conversation_id=talk.id, vector=[1.0, number], space=PLANE)
    return talk.id
