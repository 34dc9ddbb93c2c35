"""What a call gives on a database, in a form that can be compared with the other database's."""

import dataclasses
import inspect
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import event

from database import StoreError
from database.engine import is_broken
from database.errors import ConflictError, InvalidInputError
from models import Base, metadata
from repositories import UnitOfWork
from repositories.pagination import Page
from repositories.search import SearchResult
from tests.faults.inputs import Case

COUNTS = sa.select(
    *(
        sa.select(sa.func.count()).select_from(table).scalar_subquery().label(table.name)
        for table in metadata.sorted_tables
    )
)


class Undo(Exception):
    """Leaves a savepoint with nothing kept."""


@dataclass(frozen=True)
class Outcome:
    """`answer`: what came back; `refused`: the error of ours, by its type and field; `raw`: any other error."""

    answer: object = None
    refused: str | None = None
    raw: str | None = None
    error: BaseException | None = dataclasses.field(default=None, compare=False, repr=False)
    result: object = dataclasses.field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.raw or self.refused or repr(self.answer)[:300]


async def outcome_of(call: Any) -> Outcome:
    """`call` makes the call; nothing of it is kept back."""
    try:
        answer = call()
        if isinstance(answer, AsyncIterator):
            result: object = [row async for row in answer]
        else:
            result = await answer if inspect.isawaitable(answer) else answer
    except StoreError as error:
        return Outcome(refused=told(error), error=error)
    except Exception as error:
        return Outcome(raw=f"raw {type(error).__module__}.{type(error).__name__}: {str(error)[:200]}", error=error)
    return Outcome(answer=plain(result), result=result)


def told(error: StoreError) -> str:
    """The type and what the caller sees of it. A constraint's name is told by some drivers only."""
    if isinstance(error, ConflictError):
        return type(error).__name__
    if isinstance(error, InvalidInputError):
        return f"{type(error).__name__}({error.field}): {error.reason}"
    return f"{type(error).__name__}: {error}"


def plain(value: Any) -> Any:
    """Without what differs from call to call: ids made on the way, the time of day, the last digits of a score."""
    match value:
        case Base():
            return type(value).__name__, {name: plain(getattr(value, name)) for name in type(value).model_fields}
        case Page():
            return [plain(row) for row in value.rows], value.next is not None
        case SearchResult():
            return [plain(row) for row in value.hits], value.exact
        case UUID():
            return value if value.int < 2**64 else "an id"
        case datetime():
            if value.utcoffset() != timedelta(0):
                return f"not in UTC: {value!r}"
            return "now" if abs(value - datetime.now(UTC)) < timedelta(hours=1) else value.isoformat()
        case Enum():
            return value.value
        case bool() | int() | str() | None | bytes():
            return value
        case float():
            return round(value, 4) + 0.0
        case Decimal():
            return str(value)
        case Mapping():
            return {name: plain(item) for name, item in value.items()}
        case Iterable():
            return [plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return type(value).__name__, {field.name: plain(getattr(value, field.name)) for field in fields}
    return repr(value)


@contextmanager
def statements_of(connection: sa.Connection) -> Any:
    """Counts what a connection sends: `sent[0]`."""
    sent = [0]

    def note(*_: object) -> None:
        sent[0] += 1

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(connection, "before_cursor_execute", note)


async def counts(uow: UnitOfWork) -> tuple[int, ...]:
    return tuple((await (await uow.session.core()).execute(COUNTS)).one())


async def ask_all(uow: UnitOfWork, cases: Iterable[Case]) -> list[Outcome]:
    """Each case as if it were the first: what it wrote is undone. A refused one must have written nothing.

    Many cases share a savepoint as long as they send no statement.
    """
    outcomes: list[Outcome] = []
    waiting = iter(cases)
    before = await counts(uow)
    connection = (await uow.session.core()).sync_connection
    assert connection is not None
    with statements_of(connection) as sent:
        done = False
        while not done:
            done = True
            try:
                async with uow.nested():
                    sent[0] = 0
                    for case in waiting:
                        found = await outcome_of(lambda case=case: case.call(uow))
                        outcomes.append(found)
                        if sent[0]:
                            done = False
                            if found.refused and not is_broken(await uow.session.core()):
                                assert await counts(uow) == before, f"{case.name} is refused half-written"
                            raise Undo
            except Undo:
                assert await counts(uow) == before
                uow.session.expunge_all()
    return outcomes
