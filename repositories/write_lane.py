"""A lane of the group write: what waits in it is stored together, group after group, and each caller gets its fate."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from database import Database
from database.errors import (
    CommitUnknownError,
    ConflictError,
    DuplicateError,
    InvalidInputError,
    QueryError,
    StatementTimeoutError,
)
from database.retry import DEADLINE, RETRIES, again
from repositories.base import BATCH
from repositories.group_append import Fate, NewEntry, append_group
from repositories.message_record import MessageRecord

T = TypeVar("T")

MOST_TEXT = 4_000_000
"""Characters of one group, unless its first message alone has more."""

OF_ONE = (ConflictError, InvalidInputError, QueryError, StatementTimeoutError)
"""What a whole group gets for one of its members: without that one the others can be stored."""


@dataclass(slots=True)
class Waiting:
    """A message whose caller waits for its fate; `since` is the loop's time."""

    entry: NewEntry
    fate: "asyncio.Future[MessageRecord]"
    since: float


class Lane:
    """Stores in the order of `put`, one group at a time: what comes while one is under way is the next one.

    There is a task as long as there is something to store. It is nobody's but the lane's: a caller that is cancelled
    stops no group.
    """

    def __init__(self, database: Database, room: asyncio.Semaphore, turn: asyncio.Lock) -> None:
        """`room` is released once for each message that was put. `turn` is shared by the lanes: who has it tells its
        callers and sends what they say next, undisturbed. Else lanes whose answers come at the same moment go on
        side by side, and the server waits for both groups to be made."""
        self._database = database
        self._alone = database.alone()
        self._room = room
        self._turn = turn
        self._waiting: deque[Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self.conversations: Counter[UUID] = Counter()
        """Of what waits or is under way."""
        self.load = 0

    def put(self, entry: NewEntry) -> "asyncio.Future[MessageRecord]":
        loop = asyncio.get_running_loop()
        waiting = Waiting(entry, loop.create_future(), loop.time())
        self._waiting.append(waiting)
        self.conversations[entry.conversation_id] += 1
        self.load += 1
        if self._task is None:
            self._task = loop.create_task(self._store_all())
        return waiting.fate

    async def drained(self) -> None:
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _store_all(self) -> None:
        group: list[Waiting] = []
        try:
            async with self._turn:
                while self._waiting:
                    group = self._next_group()
                    await self._settle(group)
                    self._leave(group)
                    # Who has an answer now may have more to say: it goes with what came meanwhile.
                    await asyncio.sleep(0)
                    if not self._waiting:
                        await self._alone.rest()
        finally:
            self._task = None
            # Nothing, unless this task was cancelled.
            self._leave(group)
            self._leave(self._waiting)
            await self._alone.rest()

    def _next_group(self) -> list[Waiting]:
        """As many as may go together; none with an id that another of them has: it is a replay, or is refused."""
        group: list[Waiting] = []
        ids: set[UUID] = set()
        room = MOST_TEXT
        while self._waiting and len(group) < BATCH:
            first = self._waiting[0]
            row = first.entry.row
            room -= len(row["content"]) + len(row["thinking"] or "")
            if group and (room < 0 or row["id"] in ids):
                break
            group.append(self._waiting.popleft())
            ids.add(row["id"])
        return group

    def _leave(self, group: "list[Waiting] | deque[Waiting]") -> None:
        while group:
            waiting = group.pop()
            waiting.fate.cancel()
            self._room.release()
            self.load -= 1
            id = waiting.entry.conversation_id
            if self.conversations[id] > 1:
                self.conversations[id] -= 1
            else:
                del self.conversations[id]

    async def _settle(self, group: Sequence[Waiting], *, again: bool = True) -> None:
        """Give each its fate; where one of them spoils the group, in smaller ones."""
        group = [waiting for waiting in group if not waiting.fate.done()]
        if not group:
            return
        try:
            fates: Sequence[Fate | Exception] = await self._answer(self._store(group))
        except Exception as error:
            if again and isinstance(error, DuplicateError):
                # Another transaction has stored one of the ids meanwhile; now it is seen.
                return await self._settle(group, again=False)
            if parts := _parts(group, error):
                for part in parts:
                    await self._settle(part)
                return
            fates = [error] * len(group)
        for waiting, fate in zip(group, fates, strict=True):
            if waiting.fate.done():
                continue
            if isinstance(fate, Exception):
                waiting.fate.set_exception(fate)
            else:
                waiting.fate.set_result(fate)

    async def _answer(self, work: Coroutine[Any, Any, T]) -> T:
        """What comes of `work`; from when it is sent until then another lane has the turn."""
        task = asyncio.get_running_loop().create_task(work)
        await asyncio.sleep(0)
        self._turn.release()
        try:
            return await task
        finally:
            await self._turn.acquire()

    async def _store(self, group: Sequence[Waiting]) -> list[Fate]:
        """`Database.run`, idempotent since every message has its id: the same group again stores nothing twice.

        Its deadline counts from the first one's call, so that nobody waits for several of them.
        """
        entries = [waiting.entry for waiting in group]
        waited = asyncio.get_running_loop().time() - group[0].since

        async def store() -> list[Fate]:
            try:
                return await append_group(self._database, self._alone, entries)
            except CommitUnknownError:
                for entry in entries:
                    entry.may_be_stored = True
                raise

        return await again(store, RETRIES, max(DEADLINE - waited, 1.0), idempotent=True)


def _parts(group: Sequence[Waiting], error: Exception) -> list[list[Waiting]]:
    """What to try by itself after `error`: each conversation, then each message; none where that does not help."""
    if not isinstance(error, OF_ONE):
        return []
    talks: defaultdict[UUID, list[Waiting]] = defaultdict(list)
    for waiting in group:
        talks[waiting.entry.conversation_id].append(waiting)
    if len(talks) > 1:
        return list(talks.values())
    # Who could not lock the conversation in time will not do so for the next message.
    alone = len(group) == 1 or isinstance(error, StatementTimeoutError)
    return [] if alone else [[waiting] for waiting in group]
