"""Conversations: made, renamed, put away, paged by the newest."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlmodel import col

from models import Conversation, new_id, utc_now
from repositories.base import Condition, Repository
from repositories.pagination import Page
from repositories.search.fuzzy_search import Similar, similar_rows
from repositories.validation import valid_id


class ConversationRepository(Repository[Conversation]):
    """The counters of a conversation are kept by its messages and change by nothing else."""

    model = Conversation
    kept = frozenset(
        {"last_position", "last_episode", "message_count", "input_tokens", "output_tokens", "last_message_at"}
    )

    async def create(
        self,
        *,
        title: str,
        persona_id: UUID | None = None,
        owner_id: str | None = None,
        provider_type: str | None = None,
        provider_config: Mapping[str, object] | None = None,
        extra_data: Mapping[str, object] | None = None,
        id: UUID | None = None,
    ) -> Conversation:
        """A new talk. `id` may be the client's own. Raises DuplicateError, MissingReferenceError."""
        return await self._create(
            id=id or new_id(),
            owner_id=owner_id,
            title=title,
            persona_id=persona_id,
            provider_type=provider_type,
            provider_config=provider_config,
            extra_data=extra_data or {},
        )

    async def rename(self, id: UUID, title: str) -> Conversation:
        return await self.update(id, title=title)

    async def archive(self, id: UUID) -> Conversation:
        """Put it away: it leaves the newest, and keeps everything. Again: the same, with a new time."""
        return await self.update(id, archived_at=utc_now())

    async def restore(self, id: UUID) -> Conversation:
        return await self.update(id, archived_at=None)

    async def page(
        self,
        *,
        persona_id: UUID | None = None,
        archived: bool | None = False,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Conversation]:
        """The newest first, by their last message. `archived=None`: those too; True: those only."""
        conditions: list[Condition] = []
        if persona_id is not None:
            conditions.append(col(Conversation.persona_id) == valid_id(persona_id, "persona_id"))
        if archived is not None:
            column = col(Conversation.archived_at)
            conditions.append(column.is_not(None) if archived else column.is_(None))
        return await self._page(("last_message_at", "id"), *conditions, after=after, limit=limit)

    async def similar(
        self, text: str, *, persona_id: UUID | None = None, limit: int = 10
    ) -> Sequence[Similar[Conversation]]:
        """Conversations whose title resembles the text, archived ones too; otherwise as `personas.similar`."""
        return await similar_rows(self.session, Conversation, text, {"persona_id": persona_id}, limit)
