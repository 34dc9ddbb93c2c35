"""Runs: saved once however often they are sent, moved forward only, with all that was done in them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Unpack
from uuid import UUID

import sqlalchemy as sa

from database.errors import InvalidInputError, NotFoundError, StaleVersionError, StoreError
from database.prepared import Statement
from models import Artifact, LLMCall, Run, RunStatus, Step, utc_now
from repositories.artifact import ArtifactRepository, NewArtifact
from repositories.base import Condition, Repository
from repositories.llm_call import LLMCallRepository, NewLLMCall
from repositories.moves import moves
from repositories.ownership import table_of, visible
from repositories.pagination import Page
from repositories.row_statement import OWNER, new_row, parameter
from repositories.run_stats import RunStats, stats_statement
from repositories.step import NewStep, StepRepository
from repositories.validation import Row, valid_changes, valid_id, valid_time

RUNS = table_of(Run)
CALLS = table_of(LLMCall)

OPEN = frozenset({RunStatus.PENDING, RunStatus.RUNNING})
BEFORE: Mapping[RunStatus, frozenset[RunStatus]] = {
    RunStatus.PENDING: frozenset(),
    RunStatus.RUNNING: frozenset({RunStatus.PENDING}),
    RunStatus.SUCCEEDED: frozenset({RunStatus.RUNNING}),
    RunStatus.FAILED: OPEN,
    RunStatus.CANCELLED: OPEN,
}
"""From which status a run may come to each; one that has ended stays so."""

MOVES = moves(RUNS.c.status, BEFORE)
MOVES_OR_STAYS = moves(RUNS.c.status, {status: before | {status} for status, before in BEFORE.items()})

KEY = parameter(RUNS.c.idempotency_key)
SAME = {
    "owner_id": RUNS.c.owner_id == parameter(RUNS.c.owner_id),
    "idempotency_key": sa.func.coalesce(RUNS.c.idempotency_key, KEY) == KEY,
}
"""For what is given besides the id: whether it is this run's. A key may be given later."""


class RunRepository(Repository[Run]):
    """A run's status only moves forward: `start`, `finish` and `update` raise StaleVersionError for any other move."""

    model = Run
    kept = frozenset({"last_step_position"})
    fixed = frozenset({"idempotency_key"})

    async def save(
        self,
        *,
        actor: str,
        id: UUID | None = None,
        idempotency_key: str | None = None,
        owner_id: str | None = None,
        conversation_id: UUID | None = None,
        trace_id: str | None = None,
        status: RunStatus | str | None = None,
        request_payload: Mapping[str, object] | None = None,
        result: object = None,
        error: str | None = None,
        started_at: datetime | None = None,
        finished_at: datetime | None = None,
    ) -> Run:
        """The run of this id or key: a new one, or the one that is there, never a second one.

        By `id` what is given is written over what is stored, and what is None is left. By `idempotency_key` alone the
        stored run comes back as it is: the first one counts. A new run is pending unless a status is given.

        One statement for a new run, two for one that is there; safe among tasks and processes. Raises DuplicateError
        where the id, key or trace belongs to another run, StaleVersionError for a step back in status,
        MissingReferenceError.
        """
        values: dict[str, object] = {
            "id": id,
            "owner_id": owner_id,
            "conversation_id": conversation_id,
            "actor": actor,
            "status": status,
            "trace_id": trace_id,
            "idempotency_key": idempotency_key,
            "request_payload": request_payload,
            "result": result,
            "error": error,
            "started_at": started_at,
            "finished_at": finished_at,
        }
        given = {name: value for name, value in values.items() if value is not None}
        row = self._valid(given)
        stored = await self._one(_save_statement(self.session.dialect_name, self.session.owner_id is not None), row)
        if stored is None:
            await self._require([row])
            stored = await (self._by_key(row) if id is None else self._save_over(row, given.keys()))
        # Said again without ON CONFLICT, for the database to name what is taken.
        return stored or await self._create(**given)

    async def get_by_key(self, idempotency_key: str, *, owner_id: str | None = None) -> Run | None:
        """The run of this key, None if there is none. A session without owner names the owner whose key it is."""
        return await self._by_key(self._valid({"actor": "-", "idempotency_key": idempotency_key, "owner_id": owner_id}))

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

    async def _save_over(self, row: Row, given: Collection[str]) -> Run | None:
        """None: the id belongs to another owner's run, or to one of another key, or is free."""
        changed = {name: row[name] for name in given if name not in ("id", "owner_id")}
        same = [condition for name, condition in SAME.items() if name in given]
        forward = [MOVES_OR_STAYS[row["status"]]] if "status" in given else []
        asked = {name: row[name] for name in SAME}
        stored = await self._update(row["id"], changed, *same, *forward, **asked)
        if stored is None and forward and await self._count(RUNS.c.id == row["id"], *same, **asked):
            raise StaleVersionError("status")
        return stored

    async def _by_key(self, row: Row) -> Run | None:
        return await self._one(_by_key_statement(self.session.owner_id is not None), row, reads=True)

    def _guard(self, values: Mapping[str, object]) -> tuple[Condition, StoreError] | None:
        return (MOVES[RunStatus(str(values["status"]))], StaleVersionError("status")) if "status" in values else None


@cache
def _save_statement(dialect_name: str, owned: bool) -> Statement:
    """Every unique index is asked: with one named as ON CONFLICT's, two tasks that save the same run at once could
    meet in another one, which would raise."""
    return new_row(dialect_name, Run, owned).on_conflict_do_nothing().returning(*RUNS.columns)


@cache
def _by_key_statement(owned: bool) -> Statement:
    """Parameters: idempotency_key and owner_id, which may be null."""
    owner_id = parameter(RUNS.c.owner_id)
    return sa.select(*RUNS.columns).where(
        RUNS.c.idempotency_key == KEY,
        RUNS.c.owner_id.is_not_distinct_from(owner_id),
        *visible(Run, OWNER if owned else None),
    )


def _made(table: sa.Table, since: datetime | None, until: datetime | None) -> list[Condition]:
    conditions = []
    if since is not None:
        conditions.append(table.c.created_at >= valid_time(since, "since"))
    if until is not None:
        conditions.append(table.c.created_at < valid_time(until, "until"))
    return conditions
