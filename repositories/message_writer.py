"""Group write: the appends of many tasks that wait at the same moment are stored by one statement and one commit."""

import asyncio
from operator import attrgetter
from types import TracebackType
from typing import Self, Unpack
from uuid import UUID

from database import Database
from database.errors import InvalidInputError, NotConnectedError, PoolTimeoutError, TransactionError
from models.values import dump_json, load_json
from repositories.group_append import NewEntry
from repositories.message_record import MessageRecord, NewMessage, new_message
from repositories.upsert import writes_in_cte
from repositories.validation import valid_id, valid_limit, valid_text
from repositories.write_lane import Lane

MOST_WAITING = 1_000_000


class MessageWriter:
    """Appends for many tasks, outside of units, since it commits: a call returns when its message is kept.

    What waits at the same moment is one statement or two on PostgreSQL and one unit on SQLite. The messages of a
    conversation are stored in the order of the calls. `async with MessageWriter(database) as writer:`, in one event
    loop.

    At most `max_waiting` messages wait or are under way. Who comes then waits in line, as for a connection, and gets
    PoolTimeoutError after `Settings.pool_timeout` seconds.
    """

    def __init__(self, database: Database, *, owner_id: str | None = None, max_waiting: int = 1_000) -> None:
        """With `owner_id` it writes in this owner's conversations only."""
        self._database = database
        self._owner_id = None if owner_id is None else valid_text(owner_id, "owner_id")
        self._room = asyncio.Semaphore(valid_limit(max_waiting, "max_waiting", MOST_WAITING))
        # On PostgreSQL one lane's group is made while the other's is kept.
        lanes = 2 if writes_in_cte(database.url.get_backend_name()) else 1
        turn = asyncio.Lock()
        self._lanes = [Lane(database, self._room, turn) for _ in range(lanes)]
        self._closed = False

    async def append(
        self, conversation_id: UUID, *, owner_id: str | None = None, **message: Unpack[NewMessage]
    ) -> MessageRecord:
        """`MessageRepository.append`, but without vectors, and kept when it returns; its record or its error.

        With `owner_id` only in this owner's conversations. Others in the group are stored whatever happens to this one.
        Where the connection breaks the group is sent again: each message has its id by then, and is stored once;
        CommitUnknownError says that there was no answer to the end. A caller that is cancelled takes its message back
        while it waits; once it is under way, it is stored or not.

        Raises TransactionError in a unit on SQLite: it holds the connection that the message would wait for.
        """
        if message.get("vector") is not None:
            raise InvalidInputError("vector", "is not taken here; embed the message when it is stored")
        entry = self._entry(valid_id(conversation_id, "conversation_id"), self._owner(owner_id), message)
        if self._database.is_held():
            raise TransactionError("this task holds a unit, and its message would wait for the end of it")
        await self._enter()
        return await self._lane(entry.conversation_id).put(entry)

    async def close(self) -> None:
        """Take nothing more; returns when what was taken is stored or refused."""
        self._closed = True
        for lane in self._lanes:
            await lane.drained()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _owner(self, owner_id: str | None) -> str | None:
        if owner_id is None:
            return self._owner_id
        if self._owner_id not in (None, valid_text(owner_id, "owner_id")):
            raise InvalidInputError("owner_id", "is not the owner of this writer")
        return owner_id

    def _entry(self, conversation_id: UUID, owner_id: str | None, message: NewMessage) -> NewEntry:
        row = new_message(conversation_id, message)
        for name in ("tool_calls", "extra_data"):
            if row[name]:
                # As it will be read; and the caller may change its own while it waits.
                row[name] = load_json(dump_json(row[name]))
        episode = None if message.get("episode") is None else row["episode"]
        return NewEntry(row, owner_id, episode, may_be_stored=message.get("id") is not None)

    def _lane(self, conversation_id: UUID) -> Lane:
        """The one that has messages of the conversation, for their order; else the one that has the least to do."""
        for lane in self._lanes:
            if conversation_id in lane.conversations:
                return lane
        return min(self._lanes, key=attrgetter("load"))

    async def _enter(self) -> None:
        if self._room.locked():
            try:
                async with asyncio.timeout(self._database.settings.pool_timeout):
                    await self._room.acquire()
            except TimeoutError:
                raise PoolTimeoutError() from None
        else:
            await self._room.acquire()
        if self._closed:
            self._room.release()
            raise NotConnectedError("the writer is closed")
