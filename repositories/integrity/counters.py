"""What conversations and runs keep of their messages and steps, compared with these."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.functions import func

from database import Session
from models import Conversation, Message, Run, Step
from models.functions import Microseconds
from repositories.integrity.fault import Fault
from repositories.ownership import table_of

CURE = "computed again"

A_MINUTE = 60_000_000
"""Microseconds: a conversation without messages was last spoken in when it was made, by two looks at the clock."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """`right` are the counters of `parent` as its rows have them, over `rows`."""

    parent: sa.Table
    rows: sa.FromClause
    right: dict[str, sa.ColumnElement[Any]]

    def wrong(self, name: str) -> sa.ColumnElement[bool]:
        return self.parent.c[name] != self.right[name]

    @property
    def counts(self) -> sa.Select[*tuple[int, ...]]:
        counts = (sa.func.count().filter(self.wrong(name)).label(name) for name in self.right)
        return sa.select(*counts).select_from(self.rows)

    @property
    def lock(self) -> sa.Select[int]:
        """Whoever writes a message waits until the counters are right."""
        wrong = sa.select(self.parent.c.id).select_from(self.rows).where(sa.or_(*map(self.wrong, self.right)))
        other = self.parent.alias("locked")
        locked = sa.select(other.c.id).where(other.c.id.in_(wrong)).order_by(other.c.id)
        return sa.select(sa.func.count()).select_from(locked.with_for_update(key_share=True).subquery())

    @property
    def change(self) -> sa.Update:
        truth = (
            sa.select(self.parent.c.id, *(value.label(name) for name, value in self.right.items()))
            .select_from(self.rows)
            .where(sa.or_(*map(self.wrong, self.right)))
            .subquery("truth")
        )
        values = {name: truth.c[name] for name in self.right}
        # Nobody has changed the row itself.
        return (
            sa.update(self.parent)
            .where(self.parent.c.id == truth.c.id)
            .values(**values, updated_at=self.parent.c.updated_at)
        )


async def look(session: Session) -> Sequence[Fault]:
    connection = await session.core()
    found = []
    for kept in _all():
        row = (await connection.execute(kept.counts)).mappings().one()
        found += [
            Fault(kept.parent.name, f"{name} is not what its rows say", row[name], CURE)
            for name in kept.right
            if row[name]
        ]
    return found


async def mend(session: Session) -> Sequence[Fault]:
    """Two statements more for each table: the rows are locked first, and then seen as they are."""
    connection = await session.core()
    for kept in _all():
        await connection.execute(kept.lock)
    found = await look(session)
    for kept in _all():
        if any(fault.table == kept.parent.name for fault in found):
            await connection.execute(kept.change)
    return found


@cache
def _all() -> tuple[_Kept, ...]:
    return _of_conversations(), _of_runs()


def _of_conversations() -> _Kept:
    talks, messages = table_of(Conversation), table_of(Message)
    counted = (
        sa.select(
            messages.c.conversation_id,
            func.count().label("messages"),
            func.max(messages.c.position).label("position"),
            func.max(messages.c.episode).label("episode"),
            _total(messages.c.input_tokens).label("input_tokens"),
            _total(messages.c.output_tokens).label("output_tokens"),
        )
        .group_by(messages.c.conversation_id)
        .subquery("counted")
    )
    newest = messages.alias("newest")
    rows = talks.outerjoin(counted, counted.c.conversation_id == talks.c.id).outerjoin(
        newest, (newest.c.conversation_id == talks.c.id) & (newest.c.position == counted.c.position)
    )
    since_made = Microseconds(talks.c.last_message_at) - Microseconds(talks.c.created_at)
    silent = sa.case((since_made.between(-A_MINUTE, A_MINUTE), talks.c.last_message_at), else_=talks.c.created_at)
    right: dict[str, sa.ColumnElement[Any]] = {
        "message_count": func.coalesce(counted.c.messages, 0),
        "input_tokens": func.coalesce(counted.c.input_tokens, 0),
        "output_tokens": func.coalesce(counted.c.output_tokens, 0),
        "last_position": _at_least(talks.c.last_position, counted.c.position),
        "last_episode": _at_least(talks.c.last_episode, counted.c.episode),
        "last_message_at": func.coalesce(newest.c.sent_at, silent),
    }
    return _Kept(talks, rows, right)


def _of_runs() -> _Kept:
    runs, steps = table_of(Run), table_of(Step)
    counted = (
        sa.select(steps.c.run_id, func.max(steps.c.position).label("position"))
        .group_by(steps.c.run_id)
        .subquery("counted")
    )
    rows = runs.outerjoin(counted, counted.c.run_id == runs.c.id)
    return _Kept(runs, rows, {"last_step_position": _at_least(runs.c.last_step_position, counted.c.position)})


def _total(column: sa.Column[int]) -> sa.ColumnElement[int]:
    return sa.cast(func.coalesce(func.sum(column), 0), sa.BigInteger)


def _at_least(kept: sa.Column[int], highest: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """What never falls: deleting the last message leaves it."""
    return sa.case((highest > kept, highest), else_=kept)
