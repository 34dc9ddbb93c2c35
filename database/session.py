"""A unit's session: SQLModel's own, which knows its owner, nests by savepoints and runs hooks after the commit."""

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from database.entities import MOST, Entities, attached
from database.errors import STATEMENT_FAILED, StoreError, TransactionError
from database.prepared import Statement
from database.settings import Settings
from database.unit import Unit

logger = logging.getLogger(__name__)

Hook: TypeAlias = Callable[[], object] | Callable[[], Awaitable[object]]

T = TypeVar("T")

MADE_LATER = ("sync_session", "_proxied", "_async_bind", "_async_binds")
"""What SQLAlchemy's session has besides its class."""


class Session(AsyncSession):
    """Opened by `Database.transaction()` and `Database.session()`, never by itself.

    SQLAlchemy's session behind it is made when something asks for it: a unit that has no entities does without.
    """

    def __init__(self, unit: Unit, owner_id: str | None, settings: Settings) -> None:
        self.unit = unit
        self.owner_id = owner_id
        """The owner whose rows alone this session sees; None: every row."""
        self.settings = settings
        self._hooks: list[Hook] = []
        self._made = Entities()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            if name not in MADE_LATER:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            super().__init__(self.unit.connection(), expire_on_commit=False, join_transaction_mode="rollback_only")
            self._made.give_to(self.sync_session)
            return getattr(self, name)

    @property
    def has_entities(self) -> bool:
        return "sync_session" in self.__dict__

    @property
    def dialect_name(self) -> str:
        return self.unit.dialect_name

    @property
    def only_reads(self) -> bool:
        return self.unit.only_reads

    @property
    def is_idle(self) -> bool:
        return not self.has_entities and self.unit.is_idle

    @property
    def remembered(self) -> set[str]:
        """What was found in the database and is not asked for again, while it is open: names of optional indexes."""
        return self.unit.remembered

    async def core(self) -> AsyncConnection:
        """The session's own connection, after what is pending in the session has been flushed."""
        await self.flush_pending()
        return self.unit.connection()

    async def flush_pending(self) -> None:
        """Raises TransactionError where an earlier flush has failed."""
        if self.has_entities or (self._made and self._made.are_changed()):
            try:
                if self.new or self.dirty or self.deleted:
                    await self.flush()
                await self.connection()
            except PendingRollbackError as error:
                raise TransactionError(STATEMENT_FAILED) from error

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """The rows of a statement that is built once and sent often, as lists in the order of its columns."""
        await self.flush_pending()
        return await self.unit.fetch(statement, values)

    async def read(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """`fetch` of one that writes nothing: alone in a unit that only reads it needs no transaction."""
        await self.flush_pending()
        return await self.unit.fetch(statement, values, reads=True)

    def entity(self, model: type[T], values: Mapping[str, Any]) -> T:
        """What the session has of a row that `fetch` gave, by the names of all its columns, as if it had read it."""
        if self.has_entities or len(self._made) >= MOST:
            return attached(self.sync_session, model, values)
        return self._made.hold(model, values)

    async def end(self, *, keep: bool) -> None:
        """Called once by the database: commit, or not, and give the connection back."""
        try:
            if keep:
                await self.unit.keep()
        finally:
            if self.has_entities:
                await self.close()
            await self.unit.give_back()

    @asynccontextmanager
    async def nested(self) -> AsyncIterator["Session"]:
        """A savepoint: an exception inside undoes what was done inside, and its hooks, and goes on outward."""
        before = len(self._hooks)
        await self.core()
        first: BaseException | None = None
        try:
            async with self.begin_nested():
                # SQLAlchemy sends SAVEPOINT with the first use: a connection taken before would slip past it.
                await self.connection()
                try:
                    yield self
                    await self.flush()
                except BaseException as error:
                    first = error
                    raise
        except BaseException as error:
            del self._hooks[before:]
            if first is not None and isinstance(error, StoreError):
                # The savepoint may be gone, and fails too: a write that SQLite has to stop takes the whole unit along.
                raise first from first.__cause__
            raise

    def on_commit(self, hook: Hook) -> None:
        """Run `hook` after the outermost commit, in the order given; never if the unit is rolled back.

        What a hook raises is logged by its type and stops nothing: the commit has happened.
        """
        self._hooks.append(hook)

    async def run_hooks(self) -> None:
        """Called once by the database, after the commit."""
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            try:
                outcome = hook()
                if inspect.isawaitable(outcome):
                    await outcome
            except Exception as error:
                logger.error("on_commit_hook_failed error=%s", type(error).__name__)
