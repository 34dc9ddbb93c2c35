"""A unit's session: SQLModel's own, which knows its owner, nests by savepoints and runs hooks after the commit."""

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from database.errors import StoreError, TransactionError
from database.settings import Settings

logger = logging.getLogger(__name__)

Hook: TypeAlias = Callable[[], object] | Callable[[], Awaitable[object]]

OWNER = "owner_id"
SETTINGS = "settings"
HOOKS = "hooks"


class Session(AsyncSession):
    """Opened by `Database.transaction()` and `Database.session()`, never by itself."""

    @property
    def owner_id(self) -> str | None:
        """The owner whose rows alone this session sees; None: every row."""
        owner = self.info.get(OWNER)
        assert owner is None or isinstance(owner, str)
        return owner

    @property
    def settings(self) -> Settings:
        settings = self.info[SETTINGS]
        assert isinstance(settings, Settings)
        return settings

    async def core(self) -> AsyncConnection:
        """The session's own connection, after what is pending in the session has been flushed."""
        try:
            if self.new or self.dirty or self.deleted:
                await self.flush()
            return await self.connection()
        except PendingRollbackError as error:
            raise TransactionError("a statement of this unit has failed; expect failures inside nested()") from error

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

    @property
    def _hooks(self) -> list[Hook]:
        hooks: list[Hook] = self.info.setdefault(HOOKS, [])
        return hooks

    async def run_hooks(self) -> None:
        """Called once by the database, after the commit."""
        hooks, self.info[HOOKS] = self._hooks, []
        for hook in hooks:
            try:
                outcome = hook()
                if inspect.isawaitable(outcome):
                    await outcome
            except Exception as error:
                logger.error("on_commit_hook_failed error=%s", type(error).__name__)
