"""One transaction with every repository at hand."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncConnection

from database import Database, RawSql, Session
from database.errors import NotConnectedError
from database.retry import DEADLINE, RETRIES, again
from database.session import Hook
from repositories.artifact import ArtifactRepository
from repositories.conversation import ConversationRepository
from repositories.embedding import EmbeddingRepository
from repositories.embedding_space import EmbeddingSpaceRepository
from repositories.llm_call import LLMCallRepository
from repositories.memory import MemoryRepository
from repositories.message import MessageRepository
from repositories.module import ModuleRepository
from repositories.persona import PersonaRepository
from repositories.run import RunRepository
from repositories.state import StateRepository
from repositories.step import StepRepository

T = TypeVar("T")
R = TypeVar("R")


class Attached(Generic[R]):
    """A repository of the unit, made when it is first asked for."""

    def __init__(self, kind: Callable[[Session], R]) -> None:
        self.kind = kind

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, uow: "UnitOfWork", owner: type) -> R:
        made = uow.attached.get(self._name)
        if made is None:
            made = uow.attached[self._name] = self.kind(uow.session)
        return cast("R", made)


class UnitOfWork(RawSql):
    """`async with UnitOfWork(database, owner_id=...) as uow:` commits at its end, or keeps nothing.

    With an owner its repositories see and make that owner's rows only. The raw-SQL verbs run in the same transaction,
    and see every row.
    """

    session: Session
    personas = Attached(PersonaRepository)
    modules = Attached(ModuleRepository)
    conversations = Attached(ConversationRepository)
    messages = Attached(MessageRepository)
    states = Attached(StateRepository)
    memories = Attached(MemoryRepository)
    embedding_spaces = Attached(EmbeddingSpaceRepository)
    embeddings = Attached(EmbeddingRepository)
    runs = Attached(RunRepository)
    steps = Attached(StepRepository)
    artifacts = Attached(ArtifactRepository)
    llm_calls = Attached(LLMCallRepository)

    def __init__(self, database: Database, *, owner_id: str | None = None, read_only: bool = False) -> None:
        """`read_only`: as `Database.session()`, it waits for no writer and holds up none; a write raises
        ReadOnlyError."""
        self._database = database
        self._owner_id = owner_id
        self._read_only = read_only
        self.attached: dict[str, object] = {}
        self._unit: AbstractAsyncContextManager[Session] | None = None

    async def __aenter__(self) -> Self:
        database = self._database
        unit = (database.session if self._read_only else database.transaction)(owner_id=self._owner_id)
        self.session = await unit.__aenter__()
        self._unit = unit
        self.attached = {}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._unit is not None
        unit, self._unit = self._unit, None
        return await unit.__aexit__(kind, error, traceback)

    async def run(
        self,
        work: Callable[["UnitOfWork"], Awaitable[T]],
        *,
        retries: int = RETRIES,
        deadline: float | None = DEADLINE,
        idempotent: bool = False,
    ) -> T:
        """`Database.run` with every repository at hand: `await UnitOfWork(database, owner_id=...).run(work)`.

        Each attempt has a unit of its own, so one object may run many, at the same time too.
        """

        async def unit() -> T:
            async with UnitOfWork(self._database, owner_id=self._owner_id, read_only=self._read_only) as uow:
                return await work(uow)

        return await again(unit, retries, deadline, idempotent=idempotent)

    def nested(self) -> AbstractAsyncContextManager[Session]:
        """A savepoint: an exception inside undoes what was done inside, and goes on outward."""
        return self.session.nested()

    def on_commit(self, hook: Hook) -> None:
        """Run `hook` after the commit; never if the unit is rolled back."""
        self.session.on_commit(hook)

    @asynccontextmanager
    async def _statements(self, *, writes: bool) -> AsyncIterator[AsyncConnection]:
        if self._unit is None:
            raise NotConnectedError("the unit of work has not begun or has ended")
        yield await self.session.core()


REPOSITORIES = {name: held.kind for name, held in vars(UnitOfWork).items() if isinstance(held, Attached)}
"""The class of each repository, by its name in a unit."""
