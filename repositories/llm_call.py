"""What asking models took: calls in runs and in plain talk, whose cost stays their owner's."""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Required, TypedDict, Unpack
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col

from database.errors import InvalidInputError
from database.prepared import Statement
from models import Conversation, LLMCall, Message, Run
from models.values import JsonObject
from repositories.base import Repository
from repositories.ownership import table_of
from repositories.pagination import Page
from repositories.row_statement import new_row, parameter
from repositories.validation import Row, valid_id

CALLS, RUNS, TALKS, MESSAGES = table_of(LLMCall), table_of(Run), table_of(Conversation), table_of(Message)

OWNERS = {
    "run_id": sa.select(RUNS.c.id, RUNS.c.owner_id),
    "conversation_id": sa.select(TALKS.c.id, TALKS.c.owner_id),
    "message_id": sa.select(MESSAGES.c.id, TALKS.c.owner_id).join_from(MESSAGES, TALKS),
}
"""What a call may be for, by whose owner goes first."""


class NewLLMCall(TypedDict, total=False):
    """The columns of a new call; what is unknown is left out. `latency_ms` in milliseconds."""

    id: UUID
    owner_id: str | None
    step_id: UUID | None
    message_id: UUID | None
    conversation_id: UUID | None
    provider: Required[str]
    model: Required[str]
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Decimal | None
    latency_ms: int | None
    error: str | None
    extra_data: JsonObject


class LLMCallRepository(Repository[LLMCall]):
    """A call's owner is its run's, else its conversation's, else its message's, and stays so when they are gone."""

    model = LLMCall
    fixed = frozenset({"run_id", "conversation_id"})

    async def create(self, run_id: UUID | None = None, **columns: Unpack[NewLLMCall]) -> LLMCall:
        """A call, of a run or of plain talk.

        Raises MissingReferenceError, DuplicateError, and InvalidInputError for another `owner_id` than that of what
        the call is for.
        """
        return await self._create(run_id=run_id, **columns)

    async def page(
        self,
        *,
        run_id: UUID | None = None,
        conversation_id: UUID | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[LLMCall]:
        """The newest first."""
        conditions = self._matching(run_id=run_id, conversation_id=conversation_id)
        return await self._page(("id",), *conditions, after=after, limit=limit)

    async def of_run(self, run_id: UUID) -> Sequence[LLMCall]:
        """In the order in which they were made; none for a run that is not there."""
        calls = await self._select(col(LLMCall.run_id) == valid_id(run_id, "run_id"))
        return sorted(calls, key=lambda call: call.id)

    def _insert_statement(self) -> Statement:
        return super()._insert_statement() if self.session.owner_id is not None else _insert(self.session.dialect_name)

    async def _require(self, rows: Sequence[Row]) -> None:
        await super()._require(rows)
        if self.session.owner_id is not None:
            # Then all that the rows refer to is this owner's, as the rows are.
            return
        owners = await self._owners(rows)
        for row in rows:
            found = (owners.get((name, row[name])) for name in OWNERS)
            owner = next((owner for owner in found if owner is not None), row["owner_id"])
            if row["owner_id"] not in (None, owner):
                raise InvalidInputError("owner_id", "is not the owner of what the call is for")
            row["owner_id"] = owner

    async def _owners(self, rows: Sequence[Row]) -> dict[tuple[str, UUID], str]:
        """The owners of what the rows are for, in one statement; what is nobody's, or is not there, is left out."""
        selects = []
        for name, owners in OWNERS.items():
            place = owners.selected_columns
            ids = {row[name] for row in rows} - {None}
            if ids:
                selects.append(
                    owners.add_columns(sa.literal(name).label("name")).where(
                        place.id.in_(ids), place.owner_id.is_not(None)
                    )
                )
        if not selects:
            return {}
        connection = await self.session.core()
        found = (await connection.execute(sa.union_all(*selects))).all()
        return {(row.name, row.id): row.owner_id for row in found}


@cache
def _insert(dialect_name: str) -> Statement:
    """Where the session has no owner: whose the call is, as `_require` has it."""
    found = []
    for name, owners in OWNERS.items():
        place = owners.selected_columns
        owner = owners.where(place.id == parameter(CALLS.c[name])).with_only_columns(place.owner_id)
        found.append(owner.scalar_subquery())
    owner_id = sa.func.coalesce(*found, parameter(CALLS.c.owner_id))
    return new_row(dialect_name, LLMCall, False, owner_id).returning(*CALLS.columns)
