"""The one base of the factories: factory-boy's declarations, an async `create`, and parents that make themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import factory
from factory.declarations import BaseDeclaration
from sqlmodel.ext.asyncio.session import AsyncSession

from models import Base, new_id

T = TypeVar("T", bound=Base)

current_session: ContextVar[AsyncSession] = ContextVar("current_session")
"""Where factories store what they make when they are not given a session."""


@contextmanager
def storing_in(session: AsyncSession) -> Iterator[None]:
    """Let factories use `session` inside the block."""
    token = current_session.set(session)
    try:
        yield
    finally:
        current_session.reset(token)


class Parent(BaseDeclaration):
    """The id of a row of another factory: made with the child by `create`, any id in `build`."""

    def __init__(self, factory_class: "type[AsyncFactory[Any]]") -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # factory-boy does not annotate it
        self.factory_class = factory_class

    def evaluate(self, instance: object, step: object, extra: object) -> object:
        return new_id()


class AsyncFactory(factory.Factory[T]):
    """Makes valid entities: `build(**fields)` in memory, `await create(**fields)` in the database.

    A parent's fields are given as `persona_id__name="Ada"`, a parent that is there as `persona_id=persona.id`.
    """

    class Meta:
        abstract = True

    @classmethod
    async def create(cls, session: AsyncSession | None = None, **fields: Any) -> T:  # type: ignore[override]  # factory-boy's own is not async
        """Store one entity, its parents before it; flushed, never committed."""
        session = session or current_session.get()
        for name, declaration in cls._meta.base_declarations.items():
            if isinstance(declaration, Parent):
                theirs = {key: fields.pop(key) for key in list(fields) if key.startswith(f"{name}__")}
                if name not in fields:
                    parent_fields = {key.removeprefix(f"{name}__"): value for key, value in theirs.items()}
                    parent = await declaration.factory_class.create(session, **parent_fields)
                    fields[name] = parent.id
        entity = cls.build(**await cls.prepare(session, fields))
        session.add(entity)
        await session.flush()
        return entity

    @classmethod
    async def create_batch(cls, size: int, session: AsyncSession | None = None, **fields: Any) -> list[T]:  # type: ignore[override]  # as above
        """`size` entities, each with parents of its own unless they are given."""
        return [await cls.create(session, **fields) for _ in range(size)]

    @classmethod
    def _build(cls, model_class: type[T], *args: Any, **fields: Any) -> T:
        """Validated as a repository's `create` does: a constructor would overlook a field that is not there."""
        return model_class.model_validate(fields)

    @classmethod
    async def prepare(cls, session: AsyncSession, fields: dict[str, Any]) -> dict[str, Any]:
        """What a noun has to read or count in its parent before it is made."""
        return fields
