"""Runs: saved once however often they are sent, moved forward only, with all that was done in them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Unpack
from uuid import UUID

import sqlalchemy as sa

from database.errors import InvalidInputError, NotFoundError
from models import Artifact, LLMCall, Run, RunStatus, Step, utc_now
from repositories.artifact import ArtifactRepository, NewArtifact
from repositories.base import Condition
from repositories.llm_call import LLMCallRepository, NewLLMCall
from repositories.ownership import table_of, visible
from repositories.pagination import Page
from repositories.run_save import OPEN, RunSave
from repositories.run_stats import RunStats, stats_statement
from repositories.step import NewStep, StepRepository
from repositories.validation import valid_changes, valid_id, valid_time

RUNS = table_of(Run)
CALLS = table_of(LLMCall)


class RunRepository(RunSave):
    """A run's status only moves forward: `start`, `finish` and `update` raise StaleVersionError for any other move."""

    model = Run
    kept = frozenset({"last_step_position"})
    fixed = frozenset({"idempotency_key"})

    async def page(
        self,
        *,
        actor: str | None = None,
        status: RunStatus | str | None = None,
        conversation_id: UUID | None = None,
        owner_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Run]:
        """The newest first, of those made from `since` on and before `until`."""
        conditions = self._matching(actor=actor, status=status, conversation_id=conversation_id, owner_id=owner_id)
        times = _made(RUNS, since, until)
        return await self._page(("created_at", "id"), *conditions, *times, after=after, limit=limit)

    async def count(
        self,
        *,
        actor: str | None = None,
        status: RunStatus | str | None = None,
        conversation_id: UUID | None = None,
        owner_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """How many `page` would give with the same filters."""
        conditions = self._matching(actor=actor, status=status, conversation_id=conversation_id, owner_id=owner_id)
        return await self._count(*conditions, *_made(RUNS, since, until))

    async def start(self, id: UUID) -> Run:
        """Pending to running: of several workers one gets the run, to the others it is StaleVersionError.

        Raises NotFoundError.
        """
        return await self.update(id, status=RunStatus.RUNNING, started_at=utc_now())

    async def finish(
        self, id: UUID, status: RunStatus | str, *, result: object = None, error: str | None = None
    ) -> Run:
        """End the run: succeeded (it must be running), failed or cancelled. What is None stays as it is.

        Raises NotFoundError, StaleVersionError for a run that has ended, with whatever status.
        """
        if status in OPEN:
            raise InvalidInputError("status", "is not an end")
        outcome = {"result": result, "error": error}
        given = {name: value for name, value in outcome.items() if value is not None}
        return await self.update(id, status=status, finished_at=utc_now(), **given)

    async def add_step(self, run_id: UUID, **columns: Unpack[NewStep]) -> Step:
        """The next step: positions are 1, 2, 3 ... without a gap. Raises MissingReferenceError without the run."""
        return await StepRepository(self.session).create(run_id, **columns)

    async def add_artifact(self, run_id: UUID, **columns: Unpack[NewArtifact]) -> Artifact:
        """Raises MissingReferenceError without the run."""
        return await ArtifactRepository(self.session).create(run_id, **columns)

    async def add_llm_call(self, run_id: UUID, **columns: Unpack[NewLLMCall]) -> LLMCall:
        """A call of the run; one of plain talk is `llm_calls.create`. Raises MissingReferenceError without the run."""
        return await LLMCallRepository(self.session).create(run_id, **columns)

    async def steps(self, run_id: UUID) -> Sequence[Step]:
        """In the order of their positions; none for a run that is not there."""
        return await StepRepository(self.session).of_run(run_id)

    async def artifacts(self, run_id: UUID) -> Sequence[Artifact]:
        """In the order in which they were made; none for a run that is not there."""
        return await ArtifactRepository(self.session).of_run(run_id)

    async def llm_calls(self, run_id: UUID) -> Sequence[LLMCall]:
        """In the order in which they were made; none for a run that is not there."""
        return await LLMCallRepository(self.session).of_run(run_id)

    async def stats(self, run_id: UUID) -> RunStats:
        """What the run took, in one statement. Raises NotFoundError."""
        key = valid_id(run_id, "run_id")
        stats = await self._stats([RUNS.c.id == key], [CALLS.c.run_id == key])
        if not stats.runs:
            raise NotFoundError("Run", run_id)
        return stats

    async def stats_of(
        self,
        *,
        actor: str | None = None,
        owner_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> RunStats:
        """What was done and what it took, of those runs and calls made from `since` on and before `until`.

        With an actor the calls are those of its runs; without one, calls of plain talk count too. One statement.
        """
        runs = self._matching(actor=actor, owner_id=owner_id)
        calls: list[Condition] = [
            CALLS.c[name] == value for name, value in valid_changes(Run, {"owner_id": owner_id}).items() if value
        ]
        if actor is not None:
            calls.append(CALLS.c.run_id.in_(sa.select(RUNS.c.id).where(*runs)))
        return await self._stats([*runs, *_made(RUNS, since, until)], [*calls, *_made(CALLS, since, until)])

    async def _stats(self, runs: Sequence[Condition], calls: Sequence[Condition]) -> RunStats:
        owner_id = self.session.owner_id
        statement = stats_statement([*runs, *visible(Run, owner_id)], [*calls, *visible(LLMCall, owner_id)])
        connection = await self.session.core()
        return RunStats.of((await connection.execute(statement)).mappings().one())


def _made(table: sa.Table, since: datetime | None, until: datetime | None) -> list[Condition]:
    conditions = []
    if since is not None:
        conditions.append(table.c.created_at >= valid_time(since, "since"))
    if until is not None:
        conditions.append(table.c.created_at < valid_time(until, "until"))
    return conditions
