"""Steps: positions without gaps, however many write at once, and a status that only moves forward."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from database import Database, Session
from database.errors import (
    DuplicateError,
    InvalidInputError,
    MissingReferenceError,
    NotFoundError,
    StaleVersionError,
)
from models import StepStatus
from repositories.run import RunRepository
from repositories.step import BEFORE, StepRepository
from tests.factories import RunFactory, StepFactory
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def steps(session: Session) -> StepRepository:
    return StepRepository(session)


async def test_create_stores_every_column(
    steps: StepRepository, session: Session, statements: Counted, backend: str
) -> None:
    run = await RunFactory.create()
    before = run.updated_at
    with statements() as seen:
        made = await steps.create(
            run.id,
            name="search",
            kind="tool",
            status="skipped",
            input_data={"q": "rain"},
            output_data=[1, "two"],
            error="not needed",
            started_at=NOON,
            finished_at=NOON,
        )
    assert len(seen) == (1 if backend == "postgresql" else 2)
    stored = await steps.get(made.id)
    assert (stored.run_id, stored.position, stored.name, stored.kind) == (run.id, 1, "search", "tool")
    assert (stored.status, stored.error) == (StepStatus.SKIPPED, "not needed")
    assert (stored.input_data, stored.output_data) == ({"q": "rain"}, [1, "two"])
    assert (stored.started_at, stored.finished_at) == (NOON, NOON)
    counted = await RunRepository(session).get(run.id)
    assert (counted.last_step_position, counted.updated_at) == (1, before)


async def test_positions_are_given_in_order(steps: StepRepository, statements: Counted) -> None:
    run, other = await RunFactory.create_batch(2)
    made = [await steps.create(run.id, name=f"step {n}") for n in range(3)]
    assert (await steps.create(other.id, name="elsewhere")).position == 1
    assert [step.position for step in made] == [1, 2, 3]
    with statements() as seen:
        found = await steps.of_run(run.id)
    assert len(seen) == 1
    assert [step.id for step in found] == [step.id for step in made]
    assert await steps.of_run(uuid4()) == []


async def test_many_at_once_get_the_next_positions(steps: StepRepository, statements: Counted) -> None:
    run, other = await RunFactory.create_batch(2)
    await steps.create(run.id, name="first")
    rows = [{"run_id": run.id if n % 3 else other.id, "name": f"step {n}"} for n in range(6)]
    with statements() as seen:
        ids = await steps.create_many(rows)
    assert len(seen) == 3
    assert [step.position for step in await steps.get_many(ids)] == [1, 2, 3, 2, 4, 5]
    assert (await steps.create(run.id, name="last")).position == 6


async def test_a_position_is_nobodys_to_give(steps: StepRepository) -> None:
    step = await StepFactory.create()
    with pytest.raises(InvalidInputError) as refused:
        await steps.create_many([{"run_id": step.run_id, "name": "x", "position": 9}])
    assert refused.value.field == "position"
    for name, value in (("position", 9), ("run_id", uuid4())):
        with pytest.raises(InvalidInputError) as refused:
            await steps.update(step.id, **{name: value})
        assert refused.value.field == name


async def test_twenty_tasks_leave_no_gap(fresh_database: Database) -> None:
    async with fresh_database.transaction() as session:
        run = await RunFactory.create(session)

    async def add(number: int) -> int:
        async with fresh_database.transaction() as session:
            return (await RunRepository(session).add_step(run.id, name=f"step {number}")).position

    assert sorted(await asyncio.gather(*(add(number) for number in range(20)))) == list(range(1, 21))
    async with fresh_database.session() as session:
        assert [step.position for step in await StepRepository(session).of_run(run.id)] == list(range(1, 21))
        assert (await RunRepository(session).get(run.id)).last_step_position == 20


async def test_a_refused_step_takes_no_position(steps: StepRepository, session: Session) -> None:
    first = await StepFactory.create()
    with pytest.raises(DuplicateError):
        async with session.nested():
            await steps.create(first.run_id, name="again", id=first.id)
    assert (await steps.create(first.run_id, name="next")).position == 2


async def test_a_step_needs_its_run(steps: StepRepository) -> None:
    with pytest.raises(MissingReferenceError) as missing:
        await steps.create(uuid4(), name="x")
    assert missing.value.constraint == "fk_steps_run_id_runs"
    with pytest.raises(InvalidInputError):
        await steps.create(uuid4(), name="x" * 256)
    assert await steps.count() == 0


async def test_start_and_finish(steps: StepRepository, statements: Counted) -> None:
    step = await StepFactory.create()
    with statements() as seen:
        started = await steps.start(step.id)
    assert len(seen) == 1
    assert (started.status, started.started_at is None) == (StepStatus.RUNNING, False)
    with statements() as seen:
        ended = await steps.finish(step.id, "failed", output_data={"a": 1}, error="no rain")
    assert len(seen) == 1
    assert (ended.status, ended.output_data, ended.error) == (StepStatus.FAILED, {"a": 1}, "no rain")
    assert ended.finished_at is not None
    with pytest.raises(NotFoundError):
        await steps.start(uuid4())
    with pytest.raises(InvalidInputError):
        await steps.finish(step.id, "running")


@pytest.mark.parametrize("before", list(StepStatus))
async def test_a_status_only_moves_forward(steps: StepRepository, before: StepStatus) -> None:
    for after in StepStatus:
        step = await StepFactory.create(status=before)
        if before in BEFORE[after]:
            assert (await steps.update(step.id, status=after)).status is after
        else:
            with pytest.raises(StaleVersionError):
                await steps.update(step.id, status=after)
            assert (await steps.get(step.id)).status is before


def test_an_end_is_final() -> None:
    ends = {StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.SKIPPED}
    assert not any(ends & before for before in BEFORE.values())
