"""Messages: appended in order, read as history, edited and deleted with the conversation's counters kept true."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Unpack
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from database.errors import DuplicateError, NotFoundError
from models import Conversation, EmbeddingSpace, Message, MessageEmbedding, utc_now
from models.values import MAX_INTEGER, VectorLike
from repositories.append import PARAMETERS, append_statement, before_gap, counters_statement, stored_statement
from repositories.base import BATCH, Condition, ReadRepository
from repositories.embedder import Embedder, embed_texts, refuse_both
from repositories.history import history_statement
from repositories.message_record import (
    RECORD_COLUMNS,
    MessageRecord,
    NewMessage,
    estimate_tokens,
    fitting,
    new_message,
    record_of,
    records_of,
)
from repositories.message_search import MessageSearch
from repositories.ownership import owner_value, table_of, visible, writable
from repositories.pagination import Page
from repositories.search import search_on
from repositories.search.words import asked_words
from repositories.turn import acceptable
from repositories.turn_verbs import MessageTurns
from repositories.validation import valid_changes, valid_id, valid_limit
from repositories.vectors import put_vector, put_vectors, store_vectors, valid_vectors

CONVERSATIONS = table_of(Conversation)
MESSAGES = table_of(Message)

EDITABLE = frozenset({"content", "thinking", "tool_calls", "status", "input_tokens", "output_tokens", "extra_data"})


class MessageRepository(MessageSearch, MessageTurns, ReadRepository[Message]):
    """Messages come by `append` alone: positions and counters are nobody's to set."""

    model = Message

    async def append(
        self,
        conversation_id: UUID,
        *,
        space: EmbeddingSpace | None = None,
        embedder: Embedder | None = None,
        **message: Unpack[NewMessage],
    ) -> MessageRecord:
        """Say one thing: it gets the next position; locks the conversation's row, and keeps its counters.

        A client may send the id: the same message again is not stored twice, the stored one is returned, also when it
        has been edited since. Raises NotFoundError without the conversation, DuplicateError where the id is taken by
        another message: another conversation, role, content, name or tool fields.

        With `vector`, or an embedder that makes it, one statement more stores it: of `space`, or, by another
        statement, of the active one; an embedder's of the one that has its name and dimensions. The embedder is called
        before any statement; an empty text gets no vector, nor does one that was edited since. Raises DimensionError,
        InvalidInputError("space") where there is no such space, and InvalidInputError("embedder") for one beside a
        vector, or whose vectors are no good.
        """
        row = new_message(valid_id(conversation_id, "conversation_id"), message)
        vector = message.get("vector")
        if embedder is not None:
            refuse_both(vector)
            [vector], space = await embed_texts(self.session, embedder, [row["content"]], space)
        array = None
        if vector is not None:
            [array], space = await valid_vectors(self.session, [vector], space)
        owner_id = self.session.owner_id
        values = {PARAMETERS[name]: value for name, value in row.items() if name in PARAMETERS}
        values[PARAMETERS["given_episode"]] = None if message.get("episode") is None else row["episode"]
        values[PARAMETERS["episode_before"]] = before_gap(row["sent_at"], self.session.settings.episode_gap)
        if owner_id is not None:
            values[PARAMETERS["owner_id"]] = owner_id
        statement = append_statement(self.session.dialect_name, owner_id is not None)
        found = await self.session.fetch(statement, values)
        if not isinstance(statement, sa.Select):
            if found:
                await self.session.fetch(counters_statement(), values)
            else:
                found = await self.session.fetch(stored_statement(owner_id is not None), values)
        if not found:
            raise NotFoundError("Conversation", conversation_id)
        [[*columns, fingerprint]] = found
        if fingerprint != row["fingerprint"]:
            raise DuplicateError("pk_messages")
        stored = MessageRecord._make(columns)
        if array is not None and space is not None and stored.content == row["content"]:
            await store_vectors(self.session, MessageEmbedding, [(row["id"], array)], space)
        return stored

    async def append_many(
        self,
        conversation_id: UUID,
        messages: Iterable[Mapping[str, object]],
        *,
        space: EmbeddingSpace | None = None,
        embedder: Embedder | None = None,
    ) -> Sequence[MessageRecord]:
        """Many at once, in order; each mapping has the arguments of `append`. Returns them in the order given.

        The conversation is locked once and its counters are written once; a statement for each 500 rows, and one more
        each where ids and where vectors are given. What is stored already is returned as it is, as `append` does. An
        embedder is called for each 500 of the messages, before the first statement.
        """
        key = valid_id(conversation_id, "conversation_id")
        if embedder is not None:
            messages, space = await self._embedded(key, messages, space, embedder)
        return await self._append(key, await self._locked(key), messages, space)

    async def history(
        self,
        conversation_id: UUID,
        *,
        last: int = 50,
        before: int | None = None,
        after: int | None = None,
        max_tokens: int | None = None,
        count_tokens: Callable[[MessageRecord], int] = estimate_tokens,
        valid_only: bool = False,
    ) -> Sequence[MessageRecord]:
        """The newest messages in reading order, at most `last` of them (1 to 1000).

        `before` and `after` are positions: the ones just before it, or the ones just after it. With `max_tokens` only
        as many of the newest as fit it together, whole messages, by `count_tokens`. No such conversation: none.

        `valid_only`: of these only what a model provider takes, docs/turns.md: a tool's call with its result directly
        behind it, or neither; and no empty message of an assistant. So a cut separates no result from its call.
        """
        values: dict[str, object] = {
            "of_conversation": valid_id(conversation_id, "conversation_id"),
            "most": valid_limit(last, "last"),
            **owner_value(self.session),
        }
        if before is not None:
            values["before"] = valid_limit(before, "before", MAX_INTEGER)
        if after is not None:
            values["after"] = _valid_after(after)
        onward = after is not None and before is None
        statement = history_statement(self.session.owner_id is not None, before is not None, after is not None)
        found = records_of(await self.session.read(statement, values))
        newest_first = found[::-1] if onward else found
        if max_tokens is not None:
            newest_first = fitting(newest_first, valid_limit(max_tokens, "max_tokens", MAX_INTEGER), count_tokens)
        in_order = newest_first[::-1]
        return acceptable(in_order) if valid_only else in_order

    async def stream(self, conversation_id: UUID, *, after: int = 0) -> AsyncIterator[MessageRecord]:
        """Every message after a position, in reading order, memory flat; a statement for each 500."""
        position = _valid_after(after)
        while True:
            page = await self.history(conversation_id, after=position, last=BATCH)
            for message in page:
                yield message
            if len(page) < BATCH:
                return
            position = page[-1].position

    async def count(self, conversation_id: UUID | None = None) -> int:
        """Of one conversation, where it is given; the conversation's own `message_count` says the same."""
        return await self._count(*([] if conversation_id is None else self._of(conversation_id)))

    async def page_of_words(
        self, text: str, *, conversation_id: UUID | None = None, after: str | None = None, limit: int = 50
    ) -> Page[Message]:
        """Messages that hold every word of the text, the newest first; words of every sentence do not count.

        One statement. `search` ranks them instead, and takes those with one of the words. Raises InvalidCursorError.
        """
        connection = await self.session.core()
        conditions = [] if conversation_id is None else self._of(conversation_id)
        words = asked_words(text)
        held = search_on(connection.dialect.name).holds(words) if words else sa.false()
        return await self._page(("sent_at", "id"), *conditions, held, after=after, limit=limit)

    async def edit(self, id: UUID, /, **changes: object) -> MessageRecord:
        """Change content, thinking, tool_calls, status, input_tokens, output_tokens or extra_data of a message.

        `edited_at` moves when the content is given. One statement; with tokens four, and the conversation's row is
        locked. Raises NotFoundError.
        """
        key = valid_id(id)
        values = valid_changes(Message, changes, Message.model_fields.keys() - EDITABLE)
        if "content" in values:
            values["edited_at"] = utc_now()
        tokens = values.keys() & {"input_tokens", "output_tokens"}
        connection = await self.session.core()
        before: RowMapping | None = None
        if tokens:
            await self._lock(CONVERSATIONS.c.id == _talk_of(key))
            old = sa.select(MESSAGES.c.input_tokens, MESSAGES.c.output_tokens).where(MESSAGES.c.id == key)
            before = (await connection.execute(old)).mappings().one_or_none()
        statement = (
            sa.update(MESSAGES)
            .where(MESSAGES.c.id == key, *writable(Message, self.session.owner_id))
            .values(**values)
            .returning(*RECORD_COLUMNS)
        )
        row = (await connection.execute(statement)).mappings().one_or_none()
        if row is None:
            raise NotFoundError("Message", id)
        if before is not None:
            added = {name: (row[name] or 0) - (before[name] or 0) for name in tokens}
            await self._update(
                row["conversation_id"], **{name: CONVERSATIONS.c[name] + more for name, more in added.items()}
            )
        return record_of(row)

    async def delete(self, id: UUID) -> bool:
        """Whether there was such a message. Its position stays empty. Three statements, with a row lock."""
        key = valid_id(id)
        if await self._lock(CONVERSATIONS.c.id == _talk_of(key)) is None:
            return False
        connection = await self.session.core()
        statement = sa.delete(MESSAGES).where(MESSAGES.c.id == key)
        gone = (
            await connection.execute(
                statement.returning(MESSAGES.c.conversation_id, MESSAGES.c.input_tokens, MESSAGES.c.output_tokens)
            )
        ).one_or_none()
        if gone is None:
            return False
        talk = gone.conversation_id
        newest = sa.select(MESSAGES.c.sent_at).where(MESSAGES.c.conversation_id == talk)
        newest = newest.order_by(MESSAGES.c.position.desc()).limit(1)
        await self._update(
            talk,
            message_count=CONVERSATIONS.c.message_count - 1,
            input_tokens=CONVERSATIONS.c.input_tokens - (gone.input_tokens or 0),
            output_tokens=CONVERSATIONS.c.output_tokens - (gone.output_tokens or 0),
            last_message_at=sa.func.coalesce(newest.scalar_subquery(), CONVERSATIONS.c.created_at),
        )
        return True

    async def embed(self, id: UUID, vector: VectorLike, space: EmbeddingSpace | None = None) -> None:
        """Add or replace the message's vector in a space, the active one if none is named.

        Raises NotFoundError, DimensionError.
        """
        await put_vector(self.session, MessageEmbedding, id, vector, space)

    async def embed_many(self, vectors: Iterable[tuple[UUID, VectorLike]], space: EmbeddingSpace | None = None) -> int:
        """The same for many (message, vector) pairs, in batches; how many were written."""
        return await put_vectors(self.session, MessageEmbedding, vectors, space)

    def _of(self, conversation_id: UUID) -> list[Condition]:
        key = valid_id(conversation_id, "conversation_id")
        return [MESSAGES.c.conversation_id == key, *visible(Message, self.session.owner_id)]


def _talk_of(message_id: UUID) -> sa.ScalarSelect[UUID]:
    return sa.select(MESSAGES.c.conversation_id).where(MESSAGES.c.id == message_id).scalar_subquery()


def _valid_after(position: int) -> int:
    """A position, or 0 for the beginning."""
    return position if position == 0 else valid_limit(position, "after", MAX_INTEGER)
