"""A database to measure on, with every layer connected to it, and the rows that several workloads share."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from rich.progress import Progress, TaskID

from benchmarks.layers.asyncpg_limit import AsyncpgLimit
from benchmarks.layers.core import Core
from benchmarks.layers.repositories import Repositories
from benchmarks.layers.sqlite3_limit import Sqlite3Limit
from benchmarks.layers.work import WRITERS, Layer, Message
from benchmarks.remembered import Remembered
from database import Database, Settings
from models import utc_now
from repositories import UnitOfWork
from scripts.postgres import EmbeddedPostgres

SERVER = {
    "shared_buffers": "2GB",
    "maintenance_work_mem": "1GB",
    "max_wal_size": "4GB",
    "fsync": "on",
    "synchronous_commit": "on",
}

CHUNK = 20_000
TEXT = "A sentence of ordinary length, as people write them to a persona that answers, number {}."


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done: the whole by default, less for a look."""

    rounds: int = 5
    rows: int = 1_000_000
    operations: int = 200
    seconds: float = 5
    dimensions: int = 384
    questions: int = 40
    agents: int = WRITERS
    personas: int = 100

    def upto(self, rows: int) -> int:
        return min(rows, self.rows)


@dataclass(slots=True)
class Bench:
    """`limit`, `core` and `ours` do the same work on the same database."""

    db: str
    synchronous: str
    url: str
    sizes: Sizes
    database: Database
    limit: Layer
    core: Layer
    ours: Repositories
    remembered: Remembered
    progress: Progress
    task: TaskID
    _talks: dict[int, UUID] = field(default_factory=dict)

    @property
    def thorough(self) -> bool:
        """Not where a database is measured a second time, at a lower level of durability."""
        return self.synchronous != "NORMAL"

    @property
    def layers(self) -> list[Layer]:
        return [self.limit, self.core, self.ours]

    def say(self, text: str) -> None:
        self.progress.update(self.task, description=f"{self.db} {self.synchronous}: {text}")

    async def new_talk(self, messages: int = 0) -> UUID:
        async with UnitOfWork(self.database) as uow:
            talk = (await uow.conversations.create(title="measured")).id
        for start in range(0, messages, CHUNK):
            await self.limit.store(talk, texts(min(CHUNK, messages - start)))
        return talk

    async def talk_of(self, messages: int) -> UUID:
        """One of so many messages, which the workloads share."""
        if messages not in self._talks:
            self.say(f"storing {messages:,} messages")
            self._talks[messages] = await self.new_talk(messages)
        return self._talks[messages]


def texts(count: int) -> list[Message]:
    """Messages a second apart, the last one now."""
    now = utc_now()
    return [
        {"role": "user", "content": TEXT.format(n), "sent_at": now - timedelta(seconds=count - n)} for n in range(count)
    ]


@contextmanager
def new_folder(parent: Path | None = None) -> Iterator[Path]:
    """Gone at the end. The server in it may run as another account."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=parent) as path:
        Path(path).chmod(0o755)
        yield Path(path)


@contextmanager
def place(db: str, folder: Path | None) -> Iterator[str]:
    """A new database on the disk, and its end."""
    with new_folder(folder) as path:
        if db == "sqlite":
            yield f"sqlite:///{path}/benchmarks.db"
            return
        with EmbeddedPostgres(path / "server", options=SERVER) as server:
            yield server.url()


@asynccontextmanager
async def opened(db: str, url: str, synchronous: str, sizes: Sizes, progress: Progress) -> AsyncIterator[Bench]:
    # As an application has them, its time limits too, but for a pool as large as the others'.
    level = {"sqlite_synchronous": synchronous} if db == "sqlite" else {}
    settings = Settings.model_validate({"database_url": url, "pool_size": WRITERS, **level})
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(settings))
        await database.migrate()
        async with UnitOfWork(database) as uow:
            space = await uow.embedding_spaces.create(name="measured", dimensions=sizes.dimensions)
        limit: Layer = AsyncpgLimit(url, space) if db == "postgres" else Sqlite3Limit(url, space, synchronous)
        core, ours = Core(url, space, synchronous), Repositories(database, space)
        for layer in (limit, core, ours):
            await stack.enter_async_context(layer)
        remembered = Remembered(database, space, sizes.personas)
        task = progress.add_task(db, total=None)
        yield Bench(db, synchronous, url, sizes, database, limit, core, ours, remembered, progress, task)
