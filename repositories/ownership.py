"""Whose rows a session may see and write: the one place that knows how each table belongs to an owner."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from database import Session
from database.errors import InvalidInputError, MissingReferenceError
from models import (
    Artifact,
    Base,
    Conversation,
    Embedding,
    EmbeddingSpace,
    LLMCall,
    Memory,
    MemoryEmbedding,
    Message,
    MessageEmbedding,
    Module,
    Persona,
    PersonaModule,
    Run,
    State,
    Step,
)

Condition = sa.ColumnElement[bool]

OWNED: frozenset[type[Base]] = frozenset({Persona, Module, Conversation, Memory, Embedding, Run, LLMCall})
SHARED: frozenset[type[Base]] = frozenset({Persona, Module})
"""Rows of nobody are seen by every owner here, and written by none."""

PARENTS: dict[type[Base], tuple[str, type[Base]]] = {
    Message: ("conversation_id", Conversation),
    State: ("conversation_id", Conversation),
    Step: ("run_id", Run),
    Artifact: ("run_id", Run),
    MessageEmbedding: ("message_id", Message),
    MemoryEmbedding: ("memory_id", Memory),
    PersonaModule: ("persona_id", Persona),
}
"""A row without an owner of its own belongs to its parent's."""


def visible(model: type[Base], owner_id: "str | sa.BindParameter[str] | None") -> list[Condition]:
    """Conditions under which this owner sees a row; none for a session without owner."""
    if owner_id is None:
        return []
    table = table_of(model)
    if model in OWNED:
        own = table.c.owner_id == owner_id
        return [own | table.c.owner_id.is_(None) if model in SHARED else own]
    if model in PARENTS:
        column, parent = PARENTS[model]
        seen = sa.select(table_of(parent).c.id).where(*visible(parent, owner_id))
        return [table.c[column].in_(seen)]
    return []


def writable(model: type[Base], owner_id: "str | sa.BindParameter[str] | None") -> list[Condition]:
    """Conditions under which this owner may change a row: what it sees, less what is shared."""
    if owner_id is None:
        return []
    if model in OWNED:
        return [table_of(model).c.owner_id == owner_id]
    if model in PARENTS:
        column, parent = PARENTS[model]
        own = sa.select(table_of(parent).c.id).where(*writable(parent, owner_id))
        return [table_of(model).c[column].in_(own)]
    return []


def owner_parameter(owned: bool) -> sa.BindParameter[str] | None:
    """For `visible` in a statement that is built once; `owner_value` has its value."""
    return sa.bindparam("owner_id", type_=sa.Text()) if owned else None


def owner_value(session: Session) -> dict[str, object]:
    return {} if session.owner_id is None else {"owner_id": session.owner_id}


Value = Callable[[sa.Column[Any]], sa.ColumnElement[Any]]


def references_seen(model: type[Base], value: Value, owner_id: sa.BindParameter[str]) -> list[Condition]:
    """What `require_references` asks, as conditions of the statement that makes a row; `value` is the row's, by column.

    They tell whether all is there, and not what is missing.
    """
    conditions: list[Condition] = []
    for key in _foreign_keys(model):
        seen = sa.exists().where(key.column == value(key.parent), *visible(MODELS[key.column.table.name], owner_id))
        conditions.append(value(key.parent).is_(None) | seen)
    return conditions


def owner_of_new(session: Session, owner_id: str | None) -> str | None:
    """The owner of a row that this session makes; a session of one owner makes no other's."""
    if session.owner_id is None:
        return owner_id
    if owner_id not in (None, session.owner_id):
        raise InvalidInputError("owner_id", "is not the owner of this session")
    return session.owner_id


async def require_references(session: Session, model: type[Base], rows: Iterable[Mapping[str, object]]) -> None:
    """In a session of one owner: what new rows refer to must be what this owner sees.

    Raises MissingReferenceError as the database does for a row that does not exist: another's row is just that. One
    statement for all columns and rows. Without an owner the foreign keys are enough, and nothing is asked.
    """
    if session.owner_id is None:
        return
    wanted: dict[sa.ForeignKey, set[object]] = {}
    keys = _foreign_keys(model)
    for row in rows:
        for key in keys:
            value = row.get(key.parent.name)
            if value is not None:
                wanted.setdefault(key, set()).add(value)
    counts = {key: _count_seen(key, ids, session.owner_id) for key, ids in wanted.items()}
    if not counts:
        return
    connection = await session.core()
    found = (await connection.execute(sa.select(*counts.values()))).one()
    for (key, ids), seen in zip(wanted.items(), found, strict=True):
        if seen != len(ids):
            name = key.constraint.name if key.constraint is not None else None
            raise MissingReferenceError(str(name))


def _foreign_keys(model: type[Base]) -> list[sa.ForeignKey]:
    return sorted(table_of(model).foreign_keys, key=lambda key: key.parent.name)


def _count_seen(key: sa.ForeignKey, ids: set[object], owner_id: str) -> sa.ScalarSelect[int]:
    target = key.column.table
    model = MODELS[target.name]
    return (
        sa.select(sa.func.count())
        .select_from(target)
        .where(key.column.in_(ids), *visible(model, owner_id))
        .scalar_subquery()
    )


def table_of(model: type[Base]) -> sa.Table:
    table = sa.inspect(model).local_table
    assert isinstance(table, sa.Table)
    return table


EVERY: tuple[type[Base], ...] = (*OWNED, *PARENTS, EmbeddingSpace)
MODELS = {table_of(model).name: model for model in EVERY}
"""Every model that a foreign key may lead to, by its table."""
