"""How a message gets its place: the statements behind `messages.append`, and the same rule for many at once.

One statement on PostgreSQL, two on SQLite, built once for each. The conversation's row is locked first, so positions
have no gap and come in the order of the locks; an id that is there already takes no position.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from database.prepared import Statement
from models import Conversation, Message
from models.functions import ExactSum
from repositories.message_record import RECORD_COLUMNS
from repositories.ownership import table_of
from repositories.upsert import insert_into, was_inserted, writes_in_cte
from repositories.validation import Row

CONVERSATIONS = table_of(Conversation)
MESSAGES = table_of(Message)

COMPUTED = ("conversation_id", "position", "episode")
GIVEN = [column.name for column in MESSAGES.columns if column.name not in COMPUTED]
"""Columns whose values the caller's parameters give; the others come from the conversation's row."""

STORED = [*RECORD_COLUMNS, MESSAGES.c.fingerprint]
"""A record, and what tells whether it is the same message that comes again."""


PARAMETERS = {
    name: f"new_{name}" for name in (*GIVEN, "conversation_id", "given_episode", "episode_before", "owner_id")
}
"""Not the names of columns: an UPDATE takes such parameters for columns to set."""


@cache
def append_statement(dialect_name: str, owned: bool) -> Statement:
    """Parameters, by `PARAMETERS`: GIVEN, conversation_id, given_episode, episode_before, owner_id if `owned`.

    One row: what a record reads of the message as it is stored, and its fingerprint; on PostgreSQL the counters are
    written too. A row of nulls: the id belongs to another conversation's message. No row: no such conversation, or,
    on SQLite, the id is taken: `stored_statement` tells.
    """
    place = sa.select(
        CONVERSATIONS.c.id.label("conversation_id"),
        (CONVERSATIONS.c.last_position + 1).label("position"),
        _episode().label("episode"),
    ).where(*_place(owned))
    if not writes_in_cte(dialect_name):
        return (
            insert_into(dialect_name, MESSAGES)
            .from_select([*GIVEN, *COMPUTED], place.with_only_columns(*_given(), *place.selected_columns), False)
            .on_conflict_do_nothing(index_elements=["id"])
            .returning(*STORED)
        )
    c = place.with_for_update(key_share=True).cte("c")
    insert = insert_into(dialect_name, MESSAGES).from_select(
        [*GIVEN, *COMPUTED], sa.select(*_given(), *(c.c[name] for name in COMPUTED)), False
    )
    i = (
        insert.on_conflict_do_update(
            index_elements=["id"],
            set_={"id": MESSAGES.c.id},
            where=MESSAGES.c.conversation_id == insert.excluded.conversation_id,
        )
        .returning(*STORED, was_inserted(MESSAGES).label("inserted"))
        .cte("i")
    )
    inserted = sa.select(i.c.inserted).scalar_subquery()
    counted = counters_statement().where(inserted).returning(sa.literal(1)).cte("u")
    return sa.select(*(i.c[column.name] for column in STORED)).select_from(c.outerjoin(i, sa.true())).add_cte(counted)


@cache
def counters_statement() -> sa.Update:
    """What a new message adds to its conversation; the parameters of `append_statement`."""
    row = CONVERSATIONS.c
    return (
        sa.update(CONVERSATIONS)
        .where(row.id == _bound("conversation_id", row.id))
        .values(
            last_position=row.last_position + 1,
            last_episode=sa.case((_episode() > row.last_episode, _episode()), else_=row.last_episode),
            message_count=row.message_count + 1,
            input_tokens=ExactSum(row.input_tokens, sa.func.coalesce(_parameter("input_tokens"), 0)),
            output_tokens=ExactSum(row.output_tokens, sa.func.coalesce(_parameter("output_tokens"), 0)),
            last_message_at=_parameter("sent_at"),
            # A new message is no change of the conversation by a caller.
            updated_at=row.updated_at,
        )
    )


@cache
def stored_statement(owned: bool) -> sa.Select[Any]:
    """The message of this id in this conversation, nulls if there is none; no row without the conversation."""
    joined = CONVERSATIONS.outerjoin(
        MESSAGES,
        (MESSAGES.c.id == _parameter("id")) & (MESSAGES.c.conversation_id == CONVERSATIONS.c.id),
    )
    return sa.select(*STORED).select_from(joined).where(*_place(owned))


def _place(owned: bool) -> list[sa.ColumnElement[bool]]:
    conditions = [CONVERSATIONS.c.id == _bound("conversation_id", CONVERSATIONS.c.id)]
    if owned:
        conditions.append(CONVERSATIONS.c.owner_id == _bound("owner_id", CONVERSATIONS.c.owner_id))
    return conditions


def _episode() -> sa.ColumnElement[int]:
    """The episode that is given; else the last one, or a new one after a long silence or at the beginning."""
    row = CONVERSATIONS.c
    silent = row.last_message_at < _bound("episode_before", row.last_message_at)
    begins = (row.last_episode == 0) | silent
    following = sa.case((begins, row.last_episode + 1), else_=row.last_episode)
    return sa.func.coalesce(_bound("given_episode", MESSAGES.c.episode), following)


def _given() -> list[sa.BindParameter[Any]]:
    return [_parameter(name) for name in GIVEN]


def _parameter(name: str) -> sa.BindParameter[Any]:
    return _bound(name, MESSAGES.c[name])


def _bound(name: str, column: sa.Column[Any]) -> sa.BindParameter[Any]:
    return sa.bindparam(PARAMETERS[name], type_=column.type)


EARLIEST = datetime.min.replace(microsecond=1, tzinfo=UTC)


def before_gap(sent_at: datetime, gap: timedelta) -> datetime:
    """Who spoke before this moment left a silence; as early as a time can be."""
    return sent_at - gap if sent_at - EARLIEST > gap else EARLIEST


class Places:
    """The places of messages that are appended together, and what they add to their conversation."""

    def __init__(self, conversation: Mapping[Any, Any], episode_gap: timedelta) -> None:
        """`conversation`: its last_position, last_episode and last_message_at, from the locked row."""
        self._position: int = conversation["last_position"]
        self._episode: int = conversation["last_episode"]
        self._last_sent_at = conversation["last_message_at"]
        self._gap = episode_gap
        self._added = {"message_count": 0, "input_tokens": 0, "output_tokens": 0}

    def take(self, message: Row, *, episode_given: bool) -> None:
        """Give the next place; a new episode begins as `_episode` says it."""
        self._position += 1
        message["position"] = self._position
        if not episode_given:
            begins = self._episode == 0 or self._last_sent_at < before_gap(message["sent_at"], self._gap)
            message["episode"] = self._episode + begins
        self._episode = max(self._episode, message["episode"])
        self._last_sent_at = message["sent_at"]
        self._added["message_count"] += 1
        self._added["input_tokens"] += message["input_tokens"] or 0
        self._added["output_tokens"] += message["output_tokens"] or 0

    def counters(self) -> dict[str, Any]:
        """What to set in the conversation's row; nothing if no place was taken."""
        if not self._added["message_count"]:
            return {}
        return {name: ExactSum(CONVERSATIONS.c[name], number) for name, number in self._added.items()} | {
            "last_position": self._position,
            "last_episode": self._episode,
            "last_message_at": self._last_sent_at,
        }
