"""Entities of rows that came straight from the driver; SQLAlchemy's session is given them if it is ever asked for."""

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import orm
from sqlalchemy.orm.attributes import instance_state, set_committed_value

T = TypeVar("T")

MOST = 100
"""Held at once: SQLAlchemy's session holds what nobody else does and nobody has changed by weak references alone."""


class Entities(dict[tuple[type, object], tuple[Any, orm.InstanceState[Any]]]):
    """What a unit was given of rows, by class and id, until there is a session for them. No change of one is lost."""

    def are_changed(self) -> bool:
        return any(state.modified for _, state in self.values())

    def hold(self, model: type[T], values: Mapping[str, Any]) -> T:
        """The entity of a row by its id: the same one again, as the row is now."""
        name = model, values["id"]
        if name in self:
            known: T = self[name][0]
            # Nothing of it has changed: that would have been flushed before the row was asked for.
            vars(known).update(values)
            return known
        entity = _made(model, values)
        self[name] = entity, instance_state(entity)
        return entity

    def give_to(self, session: orm.Session) -> None:
        for entity, _ in self.values():
            session.add(entity)
        self.clear()


def attached(session: orm.Session, model: type[T], values: Mapping[str, Any]) -> T:
    """`Entities.hold` for a session that is there."""
    known = session.identity_map.get(session.identity_key(model, values["id"]))
    if known is not None:
        entity: T = known
        for name, value in values.items():
            set_committed_value(entity, name, value)
        return entity
    entity = _made(model, values)
    session.add(entity)
    return entity


def _made(model: type[T], values: Mapping[str, Any]) -> T:
    """As SQLAlchemy makes it of a row: not validated again, and with nothing to flush."""
    entity: T = orm.class_mapper(model).class_manager.new_instance()
    vars(entity).update(values)
    orm.make_transient_to_detached(entity)
    return entity
