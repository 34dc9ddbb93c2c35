"""The steps of runs: each gets the next position of its run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Required, TypedDict, Unpack
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col

from database.errors import InvalidInputError, MissingReferenceError, StoreError
from database.prepared import Statement
from models import Run, Step, StepStatus, utc_now
from models.values import JsonValue
from repositories.base import Condition, Repository
from repositories.moves import forward, moves
from repositories.ownership import table_of, writable
from repositories.row_statement import OWNER, insert_selected, parameter, parameters
from repositories.upsert import writes_in_cte
from repositories.validation import Row, valid_id

RUNS = table_of(Run)
STEPS = table_of(Step)

OPEN = frozenset({StepStatus.PENDING, StepStatus.RUNNING})
BEFORE: Mapping[StepStatus, frozenset[StepStatus]] = {
    StepStatus.PENDING: frozenset(),
    StepStatus.RUNNING: frozenset({StepStatus.PENDING}),
    StepStatus.SUCCEEDED: OPEN,
    StepStatus.FAILED: OPEN,
    StepStatus.CANCELLED: OPEN,
    StepStatus.SKIPPED: frozenset({StepStatus.PENDING}),
}
"""From which status a step may come to each; one that has ended stays so."""

MOVES = moves(STEPS.c.status, BEFORE)


class NewStep(TypedDict, total=False):
    """The columns of a new step; `status` is pending unless it is given, any may be."""

    id: UUID
    name: Required[str]
    kind: str | None
    status: StepStatus | str
    input_data: JsonValue
    output_data: JsonValue
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None


class StepRepository(Repository[Step]):
    """Positions are given by the run, without a gap; the run's row is locked until the unit ends."""

    model = Step
    fixed = frozenset({"run_id", "position"})

    async def create(self, run_id: UUID, **columns: Unpack[NewStep]) -> Step:
        """The next step of the run; on SQLite two statements.

        Raises MissingReferenceError without the run, DuplicateError.
        """
        return await self._create(run_id=run_id, **columns)

    async def of_run(self, run_id: UUID) -> Sequence[Step]:
        """In the order of their positions; none for a run that is not there."""
        steps = await self._select(col(Step.run_id) == valid_id(run_id, "run_id"))
        return sorted(steps, key=lambda step: step.position)

    async def start(self, id: UUID) -> Step:
        """Pending to running; raises NotFoundError, StaleVersionError for any other status."""
        return await self.update(id, status=StepStatus.RUNNING, started_at=utc_now())

    async def finish(
        self, id: UUID, status: StepStatus | str, *, output_data: object = None, error: str | None = None
    ) -> Step:
        """End the step: succeeded, failed, cancelled or skipped. What is None stays as it is.

        Raises NotFoundError, StaleVersionError for a step that has ended, or for one that runs and would be skipped.
        """
        if status in OPEN:
            raise InvalidInputError("status", "is not an end")
        outcome = {"output_data": output_data, "error": error}
        given = {name: value for name, value in outcome.items() if value is not None}
        return await self.update(id, status=status, finished_at=utc_now(), **given)

    def _guard(self, values: Mapping[str, object]) -> tuple[Condition, StoreError] | None:
        return forward(MOVES, values)

    def _given(self, values: Mapping[str, object]) -> dict[str, object]:
        if "position" in values:
            raise InvalidInputError("position", "is given by the run")
        return super()._given({**values, "position": 1})

    async def _store(self, row: Row) -> Step:
        step = None
        if writes_in_cte(self.session.dialect_name):
            step = await self._one(_next_step(self.session.dialect_name, self.session.owner_id is not None), row)
        return await self._asked_and_stored(row) if step is None else step

    async def _require(self, rows: Sequence[Row]) -> None:
        """The run's counter gives the positions: one UPDATE for each run, which asks for the run's owner too."""
        owner_id = self.session.owner_id
        for run_id, count in sorted(Counter(row["run_id"] for row in rows).items()):
            values = parameters({"run_id": run_id, "steps": count}, owner_id)
            found = await self.session.fetch(_next_positions(owner_id is not None), values)
            if not found:
                raise MissingReferenceError("fk_steps_run_id_runs")
            [[last]] = found
            for position, row in enumerate((row for row in rows if row["run_id"] == run_id), last - count + 1):
                row["position"] = position


@cache
def _next_positions(owned: bool) -> Statement:
    """Parameters: run_id, and how many `steps`, one if it is not said. The position of the last of them."""
    return (
        sa.update(RUNS)
        .where(RUNS.c.id == parameter(STEPS.c.run_id), *writable(Run, OWNER if owned else None))
        # A new step is no change of the run by a caller.
        .values(
            last_step_position=RUNS.c.last_step_position + sa.bindparam("new_steps", 1, RUNS.c.last_step_position.type),
            updated_at=RUNS.c.updated_at,
        )
        .returning(RUNS.c.last_step_position)
    )


@cache
def _next_step(dialect_name: str, owned: bool) -> Statement:
    """Parameters: the columns of a step but its position. No row: there is no such run, or it is another owner's."""
    run = _next_positions(owned).cte("run")
    values: dict[str, sa.ColumnElement[Any]] = {column.name: parameter(column) for column in STEPS.columns}
    values["position"] = run.c.last_step_position
    return insert_selected(dialect_name, STEPS, values).returning(*STEPS.columns)
