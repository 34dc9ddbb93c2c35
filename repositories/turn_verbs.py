"""Turns: what is said, called and answered together is stored together, and what a crash left open is closed."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import sqlalchemy as sa

from database.errors import InvalidInputError
from models import EmbeddingSpace, MessageStatus, Role, State
from repositories.base import BATCH
from repositories.embedder import Embedder
from repositories.message_append import MESSAGES, MessageAppend
from repositories.message_record import RECORD_COLUMNS, MessageRecord, new_message, record_of
from repositories.ownership import require_references
from repositories.state import new_state, write_state
from repositories.turn import Said, check_turn, open_calls
from repositories.validation import valid_id

NO_RESULT = "Interrupted: there is no result, and whether the call took effect is not known."
"""What `close_interrupted` has a tool say; the model reads it."""


class MessageTurns(MessageAppend):
    """The part of the repository of messages that keeps calls and results together."""

    async def append_turn(
        self,
        conversation_id: UUID,
        messages: Iterable[Mapping[str, object]],
        *,
        states: Iterable[Mapping[str, object]] = (),
        space: EmbeddingSpace | None = None,
        embedder: Embedder | None = None,
    ) -> Sequence[MessageRecord]:
        """A user's message, the assistant's calls, their results and what they change, all or nothing.

        `messages`: 1 to 500, each with the arguments of `append`; `states`: each with those of `states.set`: `key`,
        `value`, and `persona_id` or `module_id`. Each call must have its result directly behind it; a turn may begin
        with the results for calls that are open in the conversation. Raises InvalidInputError("tool_calls") or
        ("tool_call_id") where that is not so. Whatever is refused, is refused before the first write.

        The same turn again, by the ids of its messages, is returned as it is stored and sets no state a second time.
        The statements of `append_many`, one for each state, and one more each for a turn that begins with results, and
        in a session of one owner for the personas and modules of the states.
        """
        key = valid_id(conversation_id, "conversation_id")
        given: Sequence[Mapping[str, object]] = list(messages)
        if not 1 <= len(given) <= BATCH:
            raise InvalidInputError("messages", f"must be 1 to {BATCH}")
        rows = [new_message(key, message) for message in given]
        turn = [Said(row["role"], row["tool_calls"], row["tool_call_id"]) for row in rows]
        goes_on = turn[0].role is Role.TOOL
        if not goes_on:
            check_turn(turn)
        changes = [new_state(key, state) for state in states]
        if embedder is not None:
            given, space = await self._embedded(key, given, space, embedder)
        talk = await self._locked(key)
        if goes_on:
            # Results of this turn that are stored already must not hide that their calls were open.
            check_turn(turn, open_calls(await self._calls(key, but={row["id"] for row in rows})))
        await require_references(self.session, State, [{**row, "conversation_id": None} for row in changes])
        records = await self._append(key, talk, given, space)
        if any(record.position > talk["last_position"] for record in records):
            for row in changes:
                await write_state(self.session, row, overwrite=True)
        return records

    async def close_interrupted(self, conversation_id: UUID) -> Sequence[MessageRecord]:
        """After a crash or a cancellation: what was streaming is `interrupted`, and each open call gets a result.

        The result is a tool's message at the end of the conversation, `interrupted` too, whose content says that
        nothing is known. Returns the messages that were changed and then those that were added, in reading order: none
        if nothing was left open. Only for a conversation that nobody is answering in. The conversation's row is locked,
        so that two at once do it once. Three statements, five with results.
        """
        key = valid_id(conversation_id, "conversation_id")
        talk = await self._locked(key)
        stop = (
            sa.update(MESSAGES)
            .where(MESSAGES.c.conversation_id == key, MESSAGES.c.status == MessageStatus.STREAMING)
            .values(status=MessageStatus.INTERRUPTED)
            .returning(*RECORD_COLUMNS)
        )
        rows = (await (await self.session.core()).execute(stop)).mappings()
        stopped = sorted((record_of(row) for row in rows), key=lambda record: record.position)
        results: list[Mapping[str, object]] = [
            {"role": Role.TOOL, "content": NO_RESULT, "tool_call_id": id, "status": MessageStatus.INTERRUPTED}
            for ids in open_calls(await self._calls(key))
            for id in ids
        ]
        return [*stopped, *await self._append(key, talk, results, None)]

    async def _calls(self, conversation_id: UUID, but: Iterable[UUID] = ()) -> list[Said]:
        """Every call and result of a conversation, less those of some messages."""
        m = MESSAGES.c
        statement = (
            sa.select(m.id, m.role, m.tool_calls, m.tool_call_id)
            .where(m.conversation_id == conversation_id, m.tool_calls.is_not(None) | m.tool_call_id.is_not(None))
            .order_by(m.position)
        )
        left_out = set(but)
        rows = (await (await self.session.core()).execute(statement)).all()
        return [Said(row.role, row.tool_calls, row.tool_call_id) for row in rows if row.id not in left_out]
