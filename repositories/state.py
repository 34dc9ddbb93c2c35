"""Conversation states: values by key, written whole, each write one version on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from database import Session
from database.errors import InvalidInputError, NotFoundError, StaleVersionError
from database.prepared import Statement
from models import Conversation, State
from models.values import JsonValue
from repositories.ownership import (
    owner_parameter,
    owner_value,
    require_references,
    table_of,
    visible,
    writable,
)
from repositories.row_statement import OWNER, insert_selected, parameter
from repositories.validation import Row, valid_id, valid_limit, valid_row

STATES = table_of(State)
CONVERSATIONS = table_of(Conversation)


@dataclass(frozen=True, slots=True)
class StateRecord:
    """A state as it is read. `version` is what `compare_and_set` asks for."""

    conversation_id: UUID
    persona_id: UUID | None
    module_id: UUID | None
    state_key: str
    state_value: JsonValue
    version: int
    updated_at: datetime

    def __repr__(self) -> str:
        return f"StateRecord(conversation_id={self.conversation_id!r}, version={self.version})"


RECORD_COLUMNS = [STATES.c[name] for name in StateRecord.__slots__]

NONE = sa.literal_column("''", sa.Text)
UNIQUE: list[Any] = [
    STATES.c.conversation_id,
    sa.text("coalesce(CAST(persona_id AS TEXT), '')"),
    sa.text("coalesce(CAST(module_id AS TEXT), '')"),
    STATES.c.state_key,
]
"""The expressions of the unique index, word for word: two nulls are the same binding."""


class StateRepository:
    """A state is named by its conversation, its key, and the persona and module it is bound to, if any.

    A conversation that does not exist, or is another owner's, raises NotFoundError when it is written to.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    async def get(
        self, conversation_id: UUID, key: str, *, persona_id: UUID | None = None, module_id: UUID | None = None
    ) -> StateRecord:
        """Raises NotFoundError."""
        state = await self.get_or_none(conversation_id, key, persona_id=persona_id, module_id=module_id)
        if state is None:
            raise NotFoundError("State", conversation_id)
        return state

    async def get_or_none(
        self, conversation_id: UUID, key: str, *, persona_id: UUID | None = None, module_id: UUID | None = None
    ) -> StateRecord | None:
        row = _valid(conversation_id, key, None, persona_id, module_id)
        values = {name: row[name] for name in NAMED} | owner_value(self.session)
        found = await self.session.read(_read_statement(self.session.owner_id is not None), values)
        return StateRecord(*found[0]) if found else None

    async def mapping(
        self, conversation_id: UUID, *, persona_id: UUID | None = None, module_id: UUID | None = None
    ) -> Mapping[str, JsonValue]:
        """The values of one binding by key: those bound to none, unless a persona or module is named."""
        row = _valid(conversation_id, "-", None, persona_id, module_id)
        statement = (
            sa.select(STATES.c.state_key, STATES.c.state_value)
            .where(*_is(row)[:3], *visible(State, self.session.owner_id))
            .order_by(STATES.c.state_key)
        )
        rows = (await (await self.session.core()).execute(statement)).all()
        return {row.state_key: row.state_value for row in rows}

    async def records(self, conversation_id: UUID) -> Sequence[StateRecord]:
        """Every state of a conversation, of all bindings, by key."""
        statement = (
            sa.select(*RECORD_COLUMNS)
            .where(
                STATES.c.conversation_id == valid_id(conversation_id, "conversation_id"),
                *visible(State, self.session.owner_id),
            )
            .order_by(STATES.c.state_key, STATES.c.id)
        )
        rows = (await (await self.session.core()).execute(statement)).mappings()
        return [StateRecord(**row) for row in rows]

    async def set(
        self,
        conversation_id: UUID,
        key: str,
        value: object,
        *,
        persona_id: UUID | None = None,
        module_id: UUID | None = None,
    ) -> StateRecord:
        """Write the value whether or not there is one; one statement, no write is lost, the version counts them."""
        row = _valid(conversation_id, key, value, persona_id, module_id)
        state = await self._write(row, overwrite=True)
        if state is None:
            raise NotFoundError("Conversation", conversation_id)
        return state

    async def compare_and_set(
        self,
        conversation_id: UUID,
        key: str,
        value: object,
        *,
        version: int,
        persona_id: UUID | None = None,
        module_id: UUID | None = None,
    ) -> StateRecord:
        """Write the value if its version is still this one; 0: if there is none yet. Raises StaleVersionError."""
        row = _valid(conversation_id, key, value, persona_id, module_id)
        if version == 0:
            state = await self._write(row, overwrite=False)
        else:
            state = await self._one(
                sa.update(STATES)
                .where(*_is(row), STATES.c.version == valid_limit(version, "version", 2**63 - 1))
                .where(*writable(State, self.session.owner_id))
                .values(state_value=row["state_value"], version=STATES.c.version + 1)
                .returning(*RECORD_COLUMNS)
            )
        if state is None:
            raise StaleVersionError("version")
        return state

    async def delete(
        self, conversation_id: UUID, key: str, *, persona_id: UUID | None = None, module_id: UUID | None = None
    ) -> bool:
        """Whether there was such a state."""
        row = _valid(conversation_id, key, None, persona_id, module_id)
        statement = sa.delete(STATES).where(*_is(row), *writable(State, self.session.owner_id))
        return (await (await self.session.core()).execute(statement)).rowcount > 0

    async def _one(self, statement: sa.Executable) -> StateRecord | None:
        row = (await (await self.session.core()).execute(statement)).mappings().one_or_none()
        return None if row is None else StateRecord(**row)

    async def _write(self, row: Row, *, overwrite: bool) -> StateRecord | None:
        """None: there is no such conversation, or a state that must not be overwritten."""
        await require_references(self.session, State, [{**row, "conversation_id": None}])
        return await write_state(self.session, row, overwrite=overwrite)


async def write_state(session: Session, row: Row, *, overwrite: bool) -> StateRecord | None:
    """One statement. Whether this owner may refer to what the row refers to is the caller's to ask."""
    owner_id = session.owner_id
    values = row if owner_id is None else {**row, "owner_id": owner_id}
    statement = _write_statement(session.dialect_name, owner_id is not None, overwrite)
    written = await session.fetch(statement, {f"new_{name}": value for name, value in values.items()})
    return StateRecord(*written[0]) if written else None


def new_state(conversation_id: UUID, values: Mapping[str, object]) -> Row:
    """A valid state from the arguments of `set` by their names; raises InvalidInputError."""
    for name in sorted(values.keys() - {"key", "value", "persona_id", "module_id"}):
        raise InvalidInputError(name, "is nothing that a caller gives a state")
    for name in sorted({"key", "value"} - values.keys()):
        raise InvalidInputError(name, "is missing")
    given: dict[str, Any] = dict(values)
    return _valid(conversation_id, given["key"], given["value"], given.get("persona_id"), given.get("module_id"))


@cache
def _read_statement(owned: bool) -> sa.Select[Any]:
    """Parameters: NAMED, and owner_id if `owned`."""
    row = {name: sa.bindparam(name, type_=STATES.c[name].type) for name in NAMED}
    return sa.select(*RECORD_COLUMNS).where(*_is(row), *visible(State, owner_parameter(owned)))


@cache
def _write_statement(dialect_name: str, owned: bool, overwrite: bool) -> Statement:
    """Parameters: the columns of a state, and owner_id if `owned`, each as `new_` and its name.

    Nothing is written without the conversation.
    """
    place = CONVERSATIONS.c
    conditions = [place.id == parameter(STATES.c.conversation_id)]
    if owned:
        conditions.append(place.owner_id == OWNER)
    values = {column.name: parameter(column) for column in STATES.columns}
    insert = insert_selected(dialect_name, STATES, values, *conditions)
    if not overwrite:
        return insert.on_conflict_do_nothing(index_elements=UNIQUE).returning(*RECORD_COLUMNS)
    changes = {
        "state_value": insert.excluded.state_value,
        "version": STATES.c.version + 1,
        "updated_at": insert.excluded.updated_at,
    }
    return insert.on_conflict_do_update(index_elements=UNIQUE, set_=changes).returning(*RECORD_COLUMNS)


def _valid(conversation_id: UUID, key: str, value: object, persona_id: UUID | None, module_id: UUID | None) -> Row:
    return valid_row(
        State,
        {
            "conversation_id": valid_id(conversation_id, "conversation_id"),
            "persona_id": persona_id,
            "module_id": module_id,
            "state_key": key,
            "state_value": value,
        },
    )


NAMED = ("conversation_id", "persona_id", "module_id", "state_key")


def _is(row: Mapping[str, Any]) -> list[sa.ColumnElement[bool]]:
    """The row's name, in the expressions of the unique index."""
    return [
        STATES.c.conversation_id == row["conversation_id"],
        *(
            sa.func.coalesce(sa.cast(STATES.c[name], sa.Text), NONE)
            == sa.func.coalesce(sa.cast(_bound(row[name]), sa.Text), NONE)
            for name in ("persona_id", "module_id")
        ),
        STATES.c.state_key == row["state_key"],
    ]


def _bound(value: "UUID | sa.BindParameter[Any] | None") -> sa.BindParameter[Any]:
    return value if isinstance(value, sa.BindParameter) else sa.bindparam(None, value, type_=sa.Uuid())
