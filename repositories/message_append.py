"""How many messages come into a conversation at once: it is locked, they get their places, its counters are kept."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from database import Session
from database.bulk import BulkInsert
from database.errors import DuplicateError, NotFoundError
from models import Conversation, EmbeddingSpace, Message, MessageEmbedding
from repositories.append import STORED, Places
from repositories.base import BATCH, Condition
from repositories.embedder import Embedder, embed_texts, refuse_both
from repositories.message_record import MessageRecord, new_messages, record_of
from repositories.ownership import table_of, writable
from repositories.validation import Row
from repositories.vectors import store_new_vectors, store_vectors, valid_vectors

CONVERSATIONS = table_of(Conversation)
MESSAGES = table_of(Message)


class MessageAppend:
    """The part of the repository of messages that `append_many` and whole turns share."""

    session: Session

    async def _append(
        self,
        conversation_id: UUID,
        talk: RowMapping,
        messages: Iterable[Mapping[str, object]],
        space: EmbeddingSpace | None,
    ) -> Sequence[MessageRecord]:
        """`append_many`, once the conversation is locked; `talk` is what `_lock` read of it."""
        places = Places(talk, self.session.settings.episode_gap)
        records: list[MessageRecord] = []
        waiting = iter(messages)
        async with BulkInsert(await self.session.core(), MESSAGES) as bulk:
            while batch := list(islice(waiting, BATCH)):
                rows = new_messages(conversation_id, batch)
                named = [row["id"] for row, given in zip(rows, batch, strict=True) if given.get("id")]
                vectors: list[Any] = [values.get("vector") for values in batch]
                if named or any(vector is not None for vector in vectors):
                    await bulk.done()
                arrays, space = await valid_vectors(self.session, vectors, space)
                known = await self._stored(named)
                fresh: list[Row] = []
                kept: list[Row] = []
                for row, given in zip(rows, batch, strict=True):
                    stored = known.get(row["id"]) if named else None
                    if stored is None:
                        places.take(row, episode_given=given.get("episode") is not None)
                        fresh.append(row)
                        stored = row
                        if named:
                            known[row["id"]] = row
                    elif stored["fingerprint"] != row["fingerprint"]:
                        raise DuplicateError("pk_messages")
                    kept.append(stored)
                await bulk.put(fresh)
                records.extend(map(record_of, kept))
                pairs = [
                    (row["id"], array)
                    for row, stored, array in zip(rows, kept, arrays, strict=True)
                    if array is not None and stored["content"] == row["content"]
                ]
                if pairs and space is not None:
                    await bulk.done()
                    store = store_new_vectors if len(fresh) == len(rows) else store_vectors
                    await store(self.session, MessageEmbedding, pairs, space)
        if counters := places.counters():
            await self._update(conversation_id, **counters)
        return records

    async def _embedded(
        self,
        conversation_id: UUID,
        messages: Iterable[Mapping[str, object]],
        space: EmbeddingSpace | None,
        embedder: Embedder,
    ) -> tuple[Sequence[Mapping[str, object]], EmbeddingSpace]:
        """The messages with their vectors; none is paid for if a message is refused."""
        given = list(messages)
        for message in given:
            refuse_both(message.get("vector"))
        texts = [row["content"] for row in new_messages(conversation_id, given)]
        vectors, space = await embed_texts(self.session, embedder, texts, space)
        return [{**message, "vector": vector} for message, vector in zip(given, vectors, strict=True)], space

    async def _locked(self, conversation_id: UUID) -> RowMapping:
        talk = await self._lock(CONVERSATIONS.c.id == conversation_id)
        if talk is None:
            raise NotFoundError("Conversation", conversation_id)
        return talk

    async def _lock(self, which: Condition) -> RowMapping | None:
        """Messages of a conversation are written by one unit at a time: its row is locked before any of them."""
        place = CONVERSATIONS.c
        statement = (
            sa.select(place.last_position, place.last_episode, place.last_message_at)
            .where(which, *writable(Conversation, self.session.owner_id))
            .with_for_update(key_share=True)
        )
        return (await (await self.session.core()).execute(statement)).mappings().one_or_none()

    async def _stored(self, ids: Sequence[UUID]) -> dict[UUID, dict[Any, Any]]:
        """Of whichever conversation: an id of another one is refused here, and breaks no unit."""
        if not ids:
            return {}
        statement = sa.select(*STORED).where(MESSAGES.c.id.in_(ids))
        rows = (await (await self.session.core()).execute(statement)).mappings()
        return {row["id"]: dict(row) for row in rows}

    async def _update(self, conversation_id: UUID, **values: object) -> None:
        """The counters of a conversation; `updated_at` stays, since no caller changes the conversation itself."""
        statement = sa.update(CONVERSATIONS).where(CONVERSATIONS.c.id == conversation_id)
        kept = {"updated_at": CONVERSATIONS.c.updated_at}
        await (await self.session.core()).execute(statement.values(**values, **kept))
