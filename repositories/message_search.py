"""What `messages.search` takes and answers with."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from database import Session
from database.errors import InvalidInputError
from models import EmbeddingSpace, Message, Role, utc_now
from models.values import VectorLike
from repositories.message_record import RECORD_COLUMNS, MessageRecord, record_of
from repositories.ownership import table_of
from repositories.search import MessageQuery, Mode, Ranking, ScoreParts, SearchResult, search_on
from repositories.search.dates import named_time
from repositories.search.fuzzy_search import Similar, similar_records
from repositories.search.highlights import Span, highlights
from repositories.search.words import asked_words
from repositories.validation import valid_id, valid_limit, valid_time, valid_vector
from repositories.vectors import space_or_active

MESSAGES = table_of(Message)

MOST_AROUND = 20
"""Messages before and after each hit."""

BY_SIMILARITY = Ranking(words=0, time=0, neighbours=0, reply=0, episode=0, speaker=0, first_person=0)


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A hit. `highlights`: (start, end) of each word of the question in its content, in any form of the word. `parts`
    explain the score, where they were asked for; `before` and `after` are in reading order.
    """

    message: MessageRecord
    score: float
    highlights: tuple[Span, ...] = ()
    parts: ScoreParts | None = None
    before: tuple[MessageRecord, ...] = ()
    after: tuple[MessageRecord, ...] = ()


class MessageSearch:
    """The searching half of the repository of messages."""

    session: Session

    async def search(
        self,
        text: str | None = None,
        *,
        vector: VectorLike | None = None,
        space: EmbeddingSpace | None = None,
        conversation_id: UUID | None = None,
        persona_id: UUID | None = None,
        roles: Collection[Role | str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        ranking: Ranking | None = None,
        now: datetime | None = None,
        around: int = 0,
        explain: bool = False,
        limit: int = 10,
        mode: Mode = "auto",
    ) -> SearchResult[FoundMessage]:
        """The messages that answer best, the best first, ties by id; 1 to 1000 of them.

        `text` alone finds messages that hold one of its words, `vector` alone the nearest ones of its space by
        similarity, and both together what `ranking` weighs: docs/ranking.md. `vector` is best that of the text without
        the names of the participants (`without_names`). The scope is the owner's messages, of a conversation or of a
        persona's conversations; `roles`, `since` (included) and `until` (not) narrow the hits, not what is beside them.
        `now` is what "two weeks ago" is counted from. `around` messages before and after each hit come with it, at
        most 20; `explain` gives the parts of each score. `mode`: as in `memories.recall`.

        One statement; one more for the active space, for an index in a scope without a conversation, and for `around`.
        """
        if text is None and vector is None:
            raise InvalidInputError("text", "or vector must be given")
        words = [] if text is None else asked_words(text)
        around = 0 if around == 0 else valid_limit(around, "around", MOST_AROUND)
        talks = {
            "owner_id": self.session.owner_id,
            "conversation_id": None if conversation_id is None else valid_id(conversation_id, "conversation_id"),
            "persona_id": None if persona_id is None else valid_id(persona_id, "persona_id"),
        }
        array = None
        if vector is None:
            space = None
        else:
            space = await space_or_active(self.session, space)
            array = valid_vector(vector, space)
        query = MessageQuery(
            words=words,
            space=space,
            vector=array,
            time=None if text is None else named_time(text, utc_now() if now is None else valid_time(now, "now")),
            ranking=ranking or (Ranking() if words else BY_SIMILARITY),
            limit=valid_limit(limit),
            talks={name: value for name, value in talks.items() if value is not None},
            roles=sorted({_role(role) for role in roles}),
            since=None if since is None else valid_time(since, "since"),
            until=None if until is None else valid_time(until, "until"),
            mode=mode,
        )
        rows, complete = await search_on(self.session.dialect_name).messages(self.session, query)
        language = self.session.settings.text_language
        hits = [
            FoundMessage(
                record_of(row),
                row["score"],
                highlights(row["content"], words, language) if words else (),
                ScoreParts.of(row) if explain else None,
            )
            for row in rows
        ]
        if around and hits:
            hits = await _with_neighbours(self.session, hits, around)
        return SearchResult(tuple(hits), complete)

    async def similar(
        self,
        text: str,
        *,
        conversation_id: UUID | None = None,
        persona_id: UUID | None = None,
        limit: int = 10,
    ) -> Sequence[Similar[MessageRecord]]:
        """Messages in which the words of the text stand, or words that resemble them; as `personas.similar`."""
        scope = {"conversation_id": conversation_id, "persona_id": persona_id}
        rows = await similar_records(self.session, Message, MessageRecord._fields, text, scope, limit)
        return tuple(Similar(MessageRecord._make(row), similarity) for row, similarity in rows)


async def _with_neighbours(session: Session, hits: list[FoundMessage], around: int) -> list[FoundMessage]:
    """One statement for all; what was deleted leaves a gap that is not filled from further off."""
    near = [
        (MESSAGES.c.conversation_id == hit.message.conversation_id)
        & MESSAGES.c.position.between(hit.message.position - around, hit.message.position + around)
        for hit in hits
    ]
    statement = sa.select(*RECORD_COLUMNS).where(sa.or_(*near)).order_by(MESSAGES.c.position)
    rows = (await (await session.core()).execute(statement)).mappings()
    records = [record_of(row) for row in rows]

    def beside(hit: FoundMessage, first: int, last: int) -> tuple[MessageRecord, ...]:
        talk, place = hit.message.conversation_id, hit.message.position
        places = range(place + first, place + last + 1)
        return tuple(record for record in records if record.conversation_id == talk and record.position in places)

    return [replace(hit, before=beside(hit, -around, -1), after=beside(hit, 1, around)) for hit in hits]


def _role(role: Role | str) -> str:
    try:
        return Role(role).value
    except ValueError:
        raise InvalidInputError("roles", "is not a role") from None
