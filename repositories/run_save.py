"""How a run is saved once however often it is sent, and how far its status may move."""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from uuid import UUID

import sqlalchemy as sa

from database.errors import StaleVersionError, StoreError
from database.prepared import Statement
from models import Run, RunStatus
from repositories.base import Condition, Repository
from repositories.moves import forward, moves
from repositories.ownership import table_of, visible
from repositories.row_statement import OWNER, new_row, parameter
from repositories.validation import Row

RUNS = table_of(Run)

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


class RunSave(Repository[Run]):
    """The part of the repository of runs that saves them."""

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
        return forward(MOVES, values)


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
