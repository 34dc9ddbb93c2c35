"""Messages of many callers stored together, each with its own fate: its place, what is stored already, or its error."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeAlias
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from database import Database, Session
from database.alone import Alone
from database.errors import DuplicateError, NotFoundError, StoreError
from models import Conversation, Message, utc_now
from models.types import UTCDateTime
from models.values import dump_json
from repositories.append import GIVEN, PARAMETERS, STORED, Places, before_gap, counters_statement
from repositories.group_statement import COLUMNS, group_statement
from repositories.message_record import MessageRecord, record_of
from repositories.ownership import table_of
from repositories.upsert import writes_in_cte
from repositories.validation import Row

CONVERSATIONS = table_of(Conversation)
MESSAGES = table_of(Message)

OF_EACH = [name for name in (*GIVEN, "conversation_id") if name in COLUMNS]
IDS = [name for name in OF_EACH if isinstance(COLUMNS[name], sa.Uuid)]
TIMES = [name for name in OF_EACH if isinstance(COLUMNS[name], UTCDateTime)]
PLAIN = [name for name in OF_EACH if name not in (*IDS, *TIMES)]

LONGEST_GAP = timedelta(days=4_000_000)
"""Between the first and the last moment that a time can be there is less; the server's times go back as far."""

Fate: TypeAlias = MessageRecord | StoreError


@dataclass(slots=True)
class NewEntry:
    """A valid message, for whom it is stored, and the episode that its caller gave."""

    row: Row
    owner_id: str | None
    given_episode: int | None
    may_be_stored: bool
    """Its id is a client's, or it was sent before: what is stored is to be looked at first."""

    @property
    def conversation_id(self) -> UUID:
        found: UUID = self.row["conversation_id"]
        return found


async def append_group(database: Database, alone: Alone, entries: Sequence[NewEntry]) -> list[Fate]:
    """The fate of each, in order; no two have the same id. They are kept, in a unit of their own.

    One statement on PostgreSQL, three on SQLite; one more where some may be stored already. Raises what is the fate of
    all of them: then nothing is stored.
    """
    in_one = writes_in_cte(database.url.get_backend_name())
    doubted = [entry.row["id"] for entry in entries if entry.may_be_stored]
    gap = database.settings.episode_gap
    if in_one and not doubted:
        return _fates(entries, await alone.fetch(group_statement(), _parameters(entries, (), gap)), {})
    async with database.transaction() as session:
        known = await _stored(session, doubted)
        if in_one:
            answers = await session.fetch(group_statement(), _parameters(entries, known, gap))
        else:
            answers = await _in_steps(await session.core(), entries, known, gap)
    return _fates(entries, answers, known)


def _fates(
    entries: Sequence[NewEntry], answers: Sequence[Sequence[Any]], known: Mapping[UUID, RowMapping]
) -> list[Fate]:
    """Each answer: whether its conversation is there; its position and episode if it is new."""
    fates: list[Fate] = []
    for entry, (is_there, position, episode) in zip(entries, answers, strict=True):
        row = entry.row
        if not is_there:
            fates.append(NotFoundError("Conversation", entry.conversation_id))
        elif position is not None:
            fates.append(record_of(row | {"position": position, "episode": episode}))
        elif (stored := known[row["id"]])["fingerprint"] == row["fingerprint"]:
            fates.append(record_of(stored))
        else:
            fates.append(DuplicateError("pk_messages"))
    return fates


async def _stored(session: Session, ids: Sequence[UUID]) -> dict[UUID, RowMapping]:
    if not ids:
        return {}
    found = (await (await session.core()).execute(stored_statement(), {"ids": ids})).mappings()
    return {row["id"]: row for row in found}


def _parameters(entries: Sequence[NewEntry], known: Container[UUID], gap: timedelta) -> dict[str, object]:
    messages = []
    for n, entry in enumerate(entries):
        row = entry.row
        # What is left out is NULL: there is less to write and to read.
        message = {name: row[name] for name in PLAIN if row[name] is not None}
        message["n"] = n
        for name in IDS:
            message[name] = row[name].hex
        for name in TIMES:
            if (time := row[name]) is not None:
                message[name] = time.isoformat()
        if row["id"] in known:
            message["is_stored"] = True
        if entry.owner_id is not None:
            message["owner_id"] = entry.owner_id
        if entry.given_episode is not None:
            message["given_episode"] = entry.given_episode
        messages.append(message)
    return {
        "messages": dump_json(messages),
        "conversations": list({entry.conversation_id for entry in entries}),
        "now": utc_now(),
        "gap": min(gap, LONGEST_GAP),
    }


async def _in_steps(
    connection: AsyncConnection, entries: Sequence[NewEntry], known: Container[UUID], gap: timedelta
) -> list[Sequence[Any]]:
    """What `group_statement` does and answers. The unit holds the one write lock: what is read first stays true."""
    ids = {entry.conversation_id for entry in entries}
    found = (await connection.execute(talks_statement(), {"ids": list(ids)})).mappings()
    talks = {talk["id"]: (talk["owner_id"], Places(talk, gap)) for talk in found}
    answers: list[Sequence[Any]] = []
    new: list[NewEntry] = []
    for entry in entries:
        owner_id, places = talks.get(entry.conversation_id, (None, None))
        if places is None or entry.owner_id not in (None, owner_id):
            answers.append((False, None, None))
        elif entry.row["id"] in known:
            answers.append((True, None, None))
        else:
            places.take(entry.row, episode_given=entry.given_episode is not None)
            answers.append((True, entry.row["position"], entry.row["episode"]))
            new.append(entry)
    if new:
        await connection.execute(sa.insert(MESSAGES), [entry.row for entry in new])
        await connection.execute(counters_statement(), [_counted(entry, gap) for entry in new])
    return answers


def _counted(entry: NewEntry, gap: timedelta) -> dict[str, object]:
    values = {name: entry.row[name] for name in ("conversation_id", "input_tokens", "output_tokens", "sent_at")}
    given = {"given_episode": entry.given_episode, "episode_before": before_gap(entry.row["sent_at"], gap)}
    return {PARAMETERS[name]: value for name, value in (values | given).items()}


@cache
def stored_statement() -> sa.Select[Any]:
    return sa.select(*STORED).where(_among(MESSAGES.c.id))


@cache
def talks_statement() -> sa.Select[Any]:
    place = CONVERSATIONS.c
    columns = (place.id, place.owner_id, place.last_position, place.last_episode, place.last_message_at)
    return sa.select(*columns).where(_among(place.id))


def _among(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    return column.in_(sa.bindparam("ids", expanding=True))
