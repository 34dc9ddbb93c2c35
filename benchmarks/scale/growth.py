"""Step by step to the whole size, or as far as the time goes; what was measured is kept, and taken up again."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress

from benchmarks.machine import describe
from benchmarks.scale.filling import EACH, Filled, Moved
from benchmarks.scale.measuring import Step, measure
from benchmarks.scale.report import as_json, from_json
from database import Database, Settings
from database.errors import NotFoundError
from models import EmbeddingSpace
from repositories import EmbeddingSpaceRepository, UnitOfWork
from repositories.search import build_indexes
from repositories.search.postgres_index import drop_indexes
from scripts.console import say

PARTS = (0.01, 0.1, 1)
"""Of all rows: at each of them everything is measured."""

FOR_MESSAGES = 0.6
"""Of the time that is left at a step: the memories and their index have the rest."""

CAUTION = 1.5
"""Times what a memory and its place in the index took at the step before: among more rows it takes more."""

SETTINGS = {"statement_timeout_ms": 600_000, "slow_query_ms": 600_000}
"""What is long here is shown, and no news."""

SPACE = "measured"
STORING, REMEMBERING, BUILDING, VACUUM = "storing messages", "storing memories", "building the index", "vacuum"
TABLES = "messages, conversations, conversation_memory, memory_embeddings"


@dataclass(slots=True)
class Growth:
    """`file`: where the steps are kept, as JSON; those that it has are not measured again."""

    messages: int
    memories: int
    dimensions: int
    seconds: float
    operations: int
    file: Path
    progress: Progress
    machine: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    async def go(self, url: str) -> None:
        end = time.monotonic() + self.seconds
        if self.file.exists():
            self.steps = from_json(json.loads(self.file.read_text(encoding="utf-8"))["steps"])
        async with Database(Settings.model_validate({"database_url": url} | SETTINGS)) as database:
            await database.migrate()
            self.machine = await describe("postgres", database)
            filled = Filled(database, await _space(database, self.dimensions))
            for part in PARTS:
                messages, memories = round(self.messages * part), max(EACH, round(self.memories * part))
                if self.steps and self.steps[-1].messages >= messages:
                    continue
                if self.steps and time.monotonic() > end:
                    return
                step = await self._step(filled, messages, memories, end)
                self.steps.append(step)
                self.file.write_text(json.dumps(as_json(self.machine, self.steps), indent=2), encoding="utf-8")
                if step.messages < messages or step.memories < memories:
                    return

    async def _step(self, filled: Filled, messages: int, memories: int, end: float) -> Step:
        seconds: dict[str, float] = {}
        now = time.monotonic()
        with self._part(STORING, messages, seconds) as moved:
            await filled.add_messages(messages, now + FOR_MESSAGES * (end - now), moved)
        memories = self._affordable(memories, end - time.monotonic())
        if memories > await filled.memories():
            # Each row that is added to an index takes its time; a new one is made by several processes at once.
            async with filled.database.autocommit() as connection:
                await drop_indexes(connection, [filled.space.id])
            with self._part(REMEMBERING, memories, seconds) as moved:
                await filled.add_memories(memories, moved)
        with self._part(BUILDING, 100, seconds) as moved:
            await build_indexes(filled.database, filled.space, lambda _, done: moved(round(100 * done)))
        with self._part(VACUUM, 1, seconds):
            # As a database is between two visits of its autovacuum; without it, one comes while we measure.
            async with filled.database.autocommit() as connection:
                await connection.exec_driver_sql("SET statement_timeout = 0")
                await connection.exec_driver_sql(f"VACUUM (ANALYZE) {TABLES}")
                await connection.invalidate()
        with self._part("measuring", 1, {}):
            return await measure(filled, self.operations, seconds)

    def _affordable(self, memories: int, left: float) -> int:
        """As many as can be stored and indexed in the time that is left, by what those of the last step took."""
        if not self.steps:
            return memories
        last = self.steps[-1]
        new, all = last.seconds.get(REMEMBERING, 0) / last.memories, last.seconds[BUILDING] / last.memories
        if not new + all:
            return memories
        return max(last.memories, min(memories, round(left / (CAUTION * (new + all)) / EACH) * EACH))

    @contextmanager
    def _part(self, what: str, total: int, seconds: dict[str, float]) -> Iterator[Moved]:
        task = self.progress.add_task(what, total=total)
        start = time.monotonic()
        yield lambda done: self.progress.update(task, completed=done)
        seconds[what] = time.monotonic() - start
        self.progress.remove_task(task)
        say(f"{what}: {seconds[what]:,.0f} s")


async def _space(database: Database, dimensions: int) -> EmbeddingSpace:
    try:
        async with database.session() as session:
            return await EmbeddingSpaceRepository(session).get_by_name(SPACE)
    except NotFoundError:
        async with UnitOfWork(database) as uow:
            return await uow.embedding_spaces.create(name=SPACE, dimensions=dimensions)
