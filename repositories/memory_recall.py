"""What `memories.recall` takes and answers with, and how what is used is counted."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from database import Session
from database.errors import InvalidInputError
from models import EmbeddingSpace, Memory, utc_now
from models.values import VectorLike
from repositories.memory_record import RecalledMemory
from repositories.ownership import table_of, writable
from repositories.search import MEMORIES as SOURCE
from repositories.search import MemoryQuery, Mode, RecallRanking, SearchResult, VectorQuery, search_on
from repositories.search.words import asked_words
from repositories.validation import valid_changes, valid_id, valid_limit, valid_time, valid_vector
from repositories.vectors import space_or_active

MEMORIES = table_of(Memory)


class MemoryRecall:
    """The part of the repository of memories that searches them."""

    session: Session

    async def recall(
        self,
        vector: VectorLike | None = None,
        *,
        text: str | None = None,
        space: EmbeddingSpace | None = None,
        conversation_id: UUID | None = None,
        persona_id: UUID | None = None,
        memory_type: str | None = None,
        min_importance: float | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        ranking: RecallRanking | None = None,
        now: datetime | None = None,
        limit: int = 10,
        mode: Mode = "auto",
        touch: bool = False,
    ) -> SearchResult[RecalledMemory]:
        """The memories nearest to a vector of a space, the best first, ties by id; 1 to 1000 of them.

        With `text` those that hold one of its words, or both; `ranking` weighs the two, and importance and age (from
        `now`) where it says so, and the score is its: docs/ranking.md. `since` (included) and `until` (not) are about
        when it happened, or was remembered where that is not known. A wide scope goes through the
        space's index where one is built: docs/search.md.
        `touch` counts the hits as used. One statement; one more for the active space, for an index, and for `touch`.
        """
        if vector is None and text is None:
            raise InvalidInputError("vector", "or text must be given")
        array = None
        if vector is not None:
            space = await space_or_active(self.session, space)
            array = valid_vector(vector, space)
        filters = {
            "owner_id": self.session.owner_id,
            "conversation_id": None if conversation_id is None else valid_id(conversation_id, "conversation_id"),
            "persona_id": None if persona_id is None else valid_id(persona_id, "persona_id"),
            "memory_type": as_column("memory_type", memory_type, "memory_type"),
            "min_importance": as_column("importance", min_importance, "min_importance"),
            "since": None if since is None else valid_time(since, "since"),
            "until": None if until is None else valid_time(until, "until"),
        }
        given = {name: value for name, value in filters.items() if value is not None}
        if text is None and ranking is None and space is not None and array is not None:
            query = VectorQuery(SOURCE, space, array, valid_limit(limit), given, mode)
            rows, exact = await search_on(self.session.dialect_name).nearest(self.session, query)
        else:
            question = MemoryQuery(
                words=[] if text is None else asked_words(text),
                space=None if array is None else space,
                vector=array,
                ranking=ranking or RecallRanking(),
                now=utc_now() if now is None else valid_time(now, "now"),
                limit=valid_limit(limit),
                filters=given,
                mode=mode,
            )
            rows, exact = await search_on(self.session.dialect_name).memories(self.session, question)
        hits = tuple(RecalledMemory.of(row) for row in rows)
        if touch:
            await self.touch(hit.id for hit in hits)
        return SearchResult(hits, exact)

    async def touch(self, ids: Iterable[UUID]) -> int:
        """Count these, at most 1000, as used now: one UPDATE; `updated_at` does not move. Returns how many there were.

        Rows are locked in the order of their ids, so that two that touch the same ones do not wait for each other.
        """
        keys = [valid_id(id, "ids") for id in ids]
        if not keys:
            return 0
        valid_limit(len(keys), "ids")
        chosen = (
            sa.select(MEMORIES.c.id)
            .where(MEMORIES.c.id.in_(keys), *writable(Memory, self.session.owner_id))
            .order_by(MEMORIES.c.id)
        )
        connection = await self.session.core()
        result = await connection.execute(
            sa.update(MEMORIES)
            .where(MEMORIES.c.id.in_(chosen.with_for_update(key_share=True)))
            .values(
                access_count=MEMORIES.c.access_count + 1, last_accessed_at=utc_now(), updated_at=MEMORIES.c.updated_at
            )
        )
        return result.rowcount


def as_column(column: str, value: object, name: str) -> Any:
    """A filter's value as its column takes it; refused by the filter's own name."""
    if value is None:
        return None
    try:
        return valid_changes(Memory, {column: value})[column]
    except InvalidInputError as error:
        raise InvalidInputError(name, error.reason) from None
