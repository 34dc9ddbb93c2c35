"""Runs: saved once however often they are sent, moved forward only, counted and summed exactly."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from database import Database, Session
from database.errors import (
    DuplicateError,
    InvalidInputError,
    MissingReferenceError,
    NotFoundError,
    StaleVersionError,
)
from models import Run, RunStatus, new_id
from repositories.artifact import ArtifactRepository
from repositories.base import ReadRepository
from repositories.conversation import ConversationRepository
from repositories.llm_call import LLMCallRepository
from repositories.run import RunRepository
from repositories.step import StepRepository
from tests.factories import (
    ArtifactFactory,
    ConversationFactory,
    LLMCallFactory,
    MessageFactory,
    RunFactory,
    StepFactory,
)
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PENDING, RUNNING = RunStatus.PENDING, RunStatus.RUNNING
ENDED = [RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED]


@pytest.fixture
def runs(session: Session) -> RunRepository:
    return RunRepository(session)


async def test_save_makes_a_run(runs: RunRepository, statements: Counted) -> None:
    talk = await ConversationFactory.create()
    key = uuid4()
    with statements() as seen:
        run = await runs.save(
            id=key,
            actor="researcher",
            idempotency_key="k",
            owner_id="ada",
            conversation_id=talk.id,
            trace_id="t",
            status="running",
            request_payload={"question": "why"},
            result=[1, None],
            error="none yet",
            started_at=NOON,
            finished_at=NOON + timedelta(seconds=2),
        )
    assert len(seen) == 1
    stored = await runs.get(key)
    assert stored is run
    assert (stored.actor, stored.idempotency_key, stored.owner_id, stored.trace_id) == ("researcher", "k", "ada", "t")
    assert (stored.conversation_id, stored.status) == (talk.id, RUNNING)
    assert (stored.request_payload, stored.result, stored.error) == ({"question": "why"}, [1, None], "none yet")
    assert (stored.started_at, stored.finished_at) == (NOON, NOON + timedelta(seconds=2))


async def test_save_without_id_or_key_is_always_new(runs: RunRepository) -> None:
    first, second = await runs.save(actor="a"), await runs.save(actor="a")
    assert first.id != second.id
    assert (first.status, first.request_payload, first.last_step_position) == (PENDING, {}, 0)


async def test_save_by_id_writes_what_is_given_over_it(runs: RunRepository, statements: Counted) -> None:
    run = await runs.save(id=uuid4(), actor="a", trace_id="t", request_payload={"a": 1}, result="draft")
    with statements() as seen:
        again = await runs.save(id=run.id, actor="b", status="running", result="better", trace_id="t")
    assert len(seen) == 2
    assert again.id == run.id
    assert (again.actor, again.status, again.result) == ("b", RUNNING, "better")
    assert (again.trace_id, again.request_payload) == ("t", {"a": 1})
    assert again.updated_at > again.created_at
    assert await runs.count() == 1


async def test_save_by_key_gives_the_first_one_back(runs: RunRepository, statements: Counted) -> None:
    first = await runs.save(actor="a", idempotency_key="k", request_payload={"n": 1})
    with statements() as seen:
        again = await runs.save(actor="b", idempotency_key="k", request_payload={"n": 2}, status="failed")
    assert len(seen) == 2
    assert (again.id, again.actor, again.request_payload, again.status) == (first.id, "a", {"n": 1}, PENDING)
    assert await runs.count() == 1


async def test_a_key_is_unique_for_its_owner(runs: RunRepository) -> None:
    owners = [None, "ada", "bob"]
    made = [await runs.save(actor="a", idempotency_key="k", owner_id=owner) for owner in owners]
    again = [await runs.save(actor="a", idempotency_key="k", owner_id=owner) for owner in owners]
    assert [run.id for run in again] == [run.id for run in made]
    assert len({run.id for run in made}) == 3
    for owner, run in zip(owners, made, strict=True):
        found = await runs.get_by_key("k", owner_id=owner)
        assert found is not None
        assert found.id == run.id


async def test_get_by_key(runs: RunRepository, statements: Counted) -> None:
    await runs.save(actor="a")
    with statements() as seen:
        assert await runs.get_by_key("k") is None
    assert len(seen) == 1
    with pytest.raises(InvalidInputError) as refused:
        await runs.get_by_key("k" * 256)
    assert refused.value.field == "idempotency_key"


@pytest.mark.parametrize("same", ["idempotency_key", "trace_id"])
async def test_what_belongs_to_another_run_is_a_duplicate(runs: RunRepository, session: Session, same: str) -> None:
    stored = await runs.save(id=uuid4(), actor="a", idempotency_key="k", trace_id="t")
    other = await runs.save(id=uuid4(), actor="a")
    value = getattr(stored, same)
    for id in (uuid4(), other.id, *([] if same == "idempotency_key" else [None])):
        with pytest.raises(DuplicateError) as refused:
            async with session.nested():
                await runs.save(id=id, actor="a", **{same: value})
        assert refused.value.constraint == f"uq_runs_{same}"
    with pytest.raises(DuplicateError):
        async with session.nested():
            await runs.save(id=stored.id, actor="a", idempotency_key="another")
    assert await runs.count() == 2


async def test_a_key_may_be_given_later(runs: RunRepository) -> None:
    run = await runs.save(id=uuid4(), actor="a")
    assert (await runs.save(id=run.id, actor="a", idempotency_key="k")).idempotency_key == "k"
    assert (await runs.save(id=run.id, actor="a", idempotency_key="k")).id == run.id


async def test_save_does_not_change_the_owner(runs: RunRepository, session: Session) -> None:
    run = await runs.save(id=uuid4(), actor="a", owner_id="ada")
    assert (await runs.save(id=run.id, actor="b")).owner_id == "ada"
    with pytest.raises(DuplicateError):
        async with session.nested():
            await runs.save(id=run.id, actor="c", owner_id="bob")
    assert (await runs.get(run.id)).actor == "b"


async def test_save_needs_what_it_refers_to(runs: RunRepository, session: Session) -> None:
    with pytest.raises(MissingReferenceError):
        async with session.nested():
            await runs.save(actor="a", conversation_id=uuid4())
    assert await runs.count() == 0


@pytest.mark.parametrize(
    "field, value",
    [
        ("actor", "a\0b"),
        ("status", "done"),
        ("request_payload", {"a": float("nan")}),
        ("started_at", datetime(2026, 1, 1)),
        ("id", "not a uuid"),
    ],
)
async def test_save_refuses_bad_values_by_name(runs: RunRepository, field: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await runs.save(**{"actor": "a", field: value})  # type: ignore[arg-type]  # bad on purpose
    assert refused.value.field == field


@pytest.mark.parametrize("by", ["id", "key", "both"])
async def test_twenty_tasks_save_one_run(fresh_database: Database, by: str) -> None:
    key = new_id()
    given: dict[str, Any] = {"trace_id": "t"}
    if by != "key":
        given["id"] = key
    if by != "id":
        given["idempotency_key"] = "k"

    async def save(number: int) -> UUID:
        async with fresh_database.transaction(owner_id="ada") as session:
            return (await RunRepository(session).save(actor=f"task {number}", **given)).id

    ids = await asyncio.gather(*(save(number) for number in range(20)))
    assert len(set(ids)) == 1
    async with fresh_database.session() as session:
        assert await RunRepository(session).count() == 1


async def test_start_and_finish(runs: RunRepository, statements: Counted) -> None:
    run = await RunFactory.create()
    with statements() as seen:
        started = await runs.start(run.id)
    assert len(seen) == 1
    assert started.status is RUNNING
    assert started.started_at is not None
    with statements() as seen:
        ended = await runs.finish(run.id, "succeeded", result={"answer": 42})
    assert len(seen) == 1
    assert (ended.status, ended.result, ended.error) == (RunStatus.SUCCEEDED, {"answer": 42}, None)
    assert ended.finished_at is not None
    assert ended.finished_at >= started.started_at


MOVES = {(PENDING, status) for status in (RUNNING, RunStatus.FAILED, RunStatus.CANCELLED)} | {
    (RUNNING, status) for status in ENDED
}


async def move(runs: RunRepository, verb: str, id: UUID, status: RunStatus) -> Run:
    match verb:
        case "update":
            return await runs.update(id, status=status, actor="b")
        case "save":
            return await runs.save(id=id, actor="b", status=status)
        case "start":
            return await runs.start(id)
    return await runs.finish(id, status, error="b")


@pytest.mark.parametrize("before", list(RunStatus))
async def test_a_status_only_moves_forward(runs: RunRepository, before: RunStatus) -> None:
    for after in RunStatus:
        verbs = ["update", "save"] + (["start"] if after is RUNNING else []) + (["finish"] if after in ENDED else [])
        for verb in verbs:
            run = await RunFactory.create(status=before, actor="a")
            if (before, after) in MOVES or (verb == "save" and before is after):
                assert (await move(runs, verb, run.id, after)).status is after
                continue
            with pytest.raises(StaleVersionError):
                await move(runs, verb, run.id, after)
            stored = await runs.get(run.id)
            assert (stored.status, stored.actor, stored.error) == (before, "a", None)


@pytest.mark.parametrize("verb", ["start", "finish"])
async def test_a_run_that_is_not_there_does_not_move(runs: RunRepository, verb: str) -> None:
    with pytest.raises(NotFoundError):
        await (runs.start(uuid4()) if verb == "start" else runs.finish(uuid4(), "failed"))


@pytest.mark.parametrize("status", ["pending", "running", "done"])
async def test_finish_takes_an_end(runs: RunRepository, status: str) -> None:
    run = await RunFactory.create()
    with pytest.raises(InvalidInputError) as refused:
        await runs.finish(run.id, status)
    assert refused.value.field == "status"


async def test_one_of_twenty_workers_gets_the_run(fresh_database: Database) -> None:
    async with fresh_database.transaction() as session:
        run = await RunFactory.create(session)

    async def work() -> bool:
        try:
            async with fresh_database.transaction() as session:
                await RunRepository(session).start(run.id)
        except StaleVersionError:
            return False
        return True

    assert sum(await asyncio.gather(*(work() for _ in range(20)))) == 1


async def test_page_and_count_filter_alike(runs: RunRepository, statements: Counted) -> None:
    talk = await ConversationFactory.create()
    made = [
        await RunFactory.create(
            actor="a" if n % 2 else "b",
            status=RunStatus.FAILED if n % 3 == 0 else PENDING,
            conversation_id=talk.id if n < 3 else None,
            owner_id="ada" if n == 5 else None,
            created_at=NOON + timedelta(hours=n // 2),
        )
        for n in range(6)
    ]
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [5, 4, 3, 2, 1, 0]),
        ({"actor": "a"}, [5, 3, 1]),
        ({"status": "failed"}, [3, 0]),
        ({"conversation_id": talk.id}, [2, 1, 0]),
        ({"owner_id": "ada"}, [5]),
        ({"since": NOON + timedelta(hours=1)}, [5, 4, 3, 2]),
        ({"until": NOON + timedelta(hours=1)}, [1, 0]),
        ({"since": NOON + timedelta(hours=1), "until": NOON + timedelta(hours=2), "actor": "a"}, [3]),
    ]
    for filters, expected in cases:
        found: list[UUID] = []
        after = None
        while True:
            with statements() as seen:
                page = await runs.page(**filters, after=after, limit=2)
            assert len(seen) == 1
            found += [run.id for run in page]
            if (after := page.next) is None:
                break
        assert found == [made[n].id for n in expected]
        with statements() as seen:
            assert await runs.count(**filters) == len(expected)
        assert len(seen) == 1


@pytest.mark.parametrize(
    "filters",
    [{"status": "done"}, {"since": datetime(2026, 1, 1)}, {"until": "2026-01-01"}, {"conversation_id": "x"}],
)
async def test_filters_refuse_bad_values_by_name(runs: RunRepository, filters: dict[str, Any]) -> None:
    for verb in (runs.page, runs.count):
        with pytest.raises(InvalidInputError) as refused:
            await verb(**filters)
        assert refused.value.field in filters


async def test_update_leaves_what_is_not_a_callers(runs: RunRepository) -> None:
    run = await RunFactory.create()
    assert (await runs.update(run.id, result=None, actor="b")).actor == "b"
    for name, value in (("last_step_position", 7), ("idempotency_key", "k"), ("owner_id", "eve")):
        with pytest.raises(InvalidInputError) as refused:
            await runs.update(run.id, **{name: value})
        assert refused.value.field == name
    with pytest.raises(InvalidInputError):
        await runs.create_many([{"actor": "a", "last_step_position": 7}])


async def test_the_whole_work_of_a_run(runs: RunRepository) -> None:
    """run -> steps -> artifacts -> calls -> stats"""
    run = await runs.save(actor="researcher", idempotency_key="job 1", request_payload={"question": "rain?"})
    await runs.start(run.id)
    search = await runs.add_step(run.id, name="search", kind="tool", status="running", input_data={"q": "rain"})
    answer = await runs.add_step(run.id, name="answer", kind="llm")
    await runs.add_llm_call(
        run.id,
        step_id=search.id,
        provider="openai",
        model="small",
        input_tokens=100,
        output_tokens=20,
        cached_tokens=40,
        cost_usd=Decimal("0.1"),
        latency_ms=300,
    )
    await runs.add_llm_call(
        run.id,
        step_id=answer.id,
        provider="openai",
        model="large",
        input_tokens=7,
        reasoning_tokens=5,
        cost_usd=Decimal("0.2000000001"),
        latency_ms=700,
        error="rate limit",
    )
    report = await runs.add_artifact(run.id, step_id=answer.id, name="report", url="https://files.example/1")
    await runs.finish(run.id, "succeeded", result="yes")

    assert [step.name for step in await runs.steps(run.id)] == ["search", "answer"]
    assert [call.model for call in await runs.llm_calls(run.id)] == ["small", "large"]
    assert [artifact.id for artifact in await runs.artifacts(run.id)] == [report.id]
    stats = await runs.stats(run.id)
    assert (stats.runs, stats.succeeded, stats.failed, stats.calls, stats.errors) == (1, 1, 0, 2, 1)
    assert (stats.input_tokens, stats.output_tokens, stats.cached_tokens, stats.reasoning_tokens) == (107, 20, 40, 5)
    assert (stats.cost_usd, stats.latency_ms) == (Decimal("0.3000000001"), 1000)
    ended = await runs.get(run.id, load=["steps", "artifacts", "llm_calls"])
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert stats.duration == ended.finished_at - ended.started_at
    assert (len(ended.steps), len(ended.artifacts), len(ended.llm_calls)) == (2, 1, 2)


async def test_stats_of_a_run_are_one_statement(runs: RunRepository, statements: Counted) -> None:
    run, _ = await RunFactory.create(), await LLMCallFactory.create()
    with statements() as seen:
        stats = await runs.stats(run.id)
    assert len(seen) == 1
    assert (stats.runs, stats.pending, stats.calls, stats.input_tokens) == (1, 1, 0, 0)
    assert (stats.cost_usd, stats.duration) == (Decimal(0), timedelta(0))
    with pytest.raises(NotFoundError):
        await runs.stats(uuid4())


async def test_money_is_summed_exactly(runs: RunRepository) -> None:
    run = await RunFactory.create()
    costs = [Decimal("0.1")] * 30 + [Decimal("12345678.1234567891"), Decimal("0.0000000001")]
    for cost in costs:
        await LLMCallFactory.create(run_id=run.id, cost_usd=cost)
    assert (await runs.stats(run.id)).cost_usd == Decimal("12345681.1234567892")


async def test_durations_are_exact_to_the_microsecond(runs: RunRepository) -> None:
    spans = [timedelta(microseconds=1), timedelta(days=40, seconds=3, microseconds=999_999), timedelta(0)]
    for number, span in enumerate(spans):
        start = datetime(2026, 3, 29, 0, 59, 59, 600_000 + number, tzinfo=UTC)
        await RunFactory.create(started_at=start, finished_at=start + span)
    await RunFactory.create(started_at=NOON)
    assert (await runs.stats_of()).duration == sum(spans, timedelta(0))


async def test_stats_of_an_actor_an_owner_and_a_time(runs: RunRepository, statements: Counted) -> None:
    hour = timedelta(hours=1)
    adas = await RunFactory.create(actor="a", owner_id="ada", created_at=NOON, status=RunStatus.FAILED)
    bobs = await RunFactory.create(actor="a", owner_id="bob", created_at=NOON + hour)
    await RunFactory.create(actor="b", owner_id="ada", created_at=NOON + hour)
    for run, at, dollars in ((adas, NOON, 1), (adas, NOON + hour, 2), (bobs, NOON + hour, 4)):
        await LLMCallFactory.create(run_id=run.id, owner_id=run.owner_id, created_at=at, cost_usd=Decimal(dollars))
    await LLMCallFactory.create(owner_id="ada", created_at=NOON, cost_usd=Decimal(8))
    cases: list[tuple[dict[str, Any], int, int, int]] = [
        ({}, 3, 4, 15),
        ({"actor": "a"}, 2, 3, 7),
        ({"actor": "a", "owner_id": "ada"}, 1, 2, 3),
        ({"owner_id": "ada"}, 2, 3, 11),
        ({"owner_id": "ada", "until": NOON + hour}, 1, 2, 9),
        ({"actor": "a", "since": NOON + hour}, 1, 2, 6),
        ({"since": NOON + 2 * hour}, 0, 0, 0),
    ]
    for filters, count, calls, cost in cases:
        with statements() as seen:
            stats = await runs.stats_of(**filters)
        assert len(seen) == 1
        assert (stats.runs, stats.calls, stats.cost_usd) == (count, calls, Decimal(cost)), filters
    assert (await runs.stats_of()).failed == 1
    with pytest.raises(InvalidInputError):
        await runs.stats_of(since=datetime(2026, 1, 1))


async def test_deleting_a_run_takes_all_that_was_done_in_it(runs: RunRepository, session: Session) -> None:
    run, other = await RunFactory.create_batch(2)
    for each in (run, other):
        step = await StepFactory.create(run_id=each.id)
        await ArtifactFactory.create(run_id=each.id, step_id=step.id)
        await LLMCallFactory.create(run_id=each.id, step_id=step.id)
    readers: list[ReadRepository[Any]] = [
        kind(session) for kind in (StepRepository, ArtifactRepository, LLMCallRepository)
    ]
    assert await runs.delete(run.id)
    assert [await reader.count() for reader in readers] == [1, 1, 1]
    assert [len(rows) for rows in (await runs.steps(run.id), await runs.steps(other.id))] == [0, 1]
    assert not await runs.delete(run.id)


async def test_deleting_a_conversation_leaves_its_runs_and_calls(runs: RunRepository, session: Session) -> None:
    message = await MessageFactory.create()
    talk_id = message.conversation_id
    run = await RunFactory.create(conversation_id=talk_id)
    call = await LLMCallFactory.create(conversation_id=talk_id, message_id=message.id, owner_id="ada")
    assert await ConversationRepository(session).delete(talk_id)
    assert (await runs.get(run.id)).conversation_id is None
    left = await LLMCallRepository(session).get(call.id)
    assert (left.conversation_id, left.message_id, left.owner_id) == (None, None, "ada")
