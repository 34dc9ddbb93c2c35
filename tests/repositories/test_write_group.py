"""A group of appends leaves what the same appends leave one after the other, whatever is among them."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import hypothesis.strategies as st
from hypothesis import given, settings

from database import Database
from database.errors import StoreError
from repositories import MessageRecord, MessageWriter, UnitOfWork

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TALKS = 3
ABSENT = TALKS
"""The number of a conversation that is not there."""

appends = st.fixed_dictionaries(
    {
        "talk": st.sampled_from([0, 0, 0, 1, 1, 2, ABSENT]),
        "content": st.sampled_from(["", "hello", "hëllo 🙂 \x01\\\"' e+5"]),
        "role": st.sampled_from(["user", "user", "assistant", "nobody"]),
    },
    optional={
        "key": st.integers(0, 2),
        "hours": st.integers(-9, 9),
        "episode": st.sampled_from([1, 2, 7]),
        "input_tokens": st.integers(0, 9),
        "output_tokens": st.integers(0, 9),
        "name": st.just("Ada"),
        "thinking": st.just("hm"),
        "tool_calls": st.just([{"id": "call", "arguments": {"at": [1e23, 0.5, None, "e+"]}}]),
        "extra_data": st.just({"a": {"b": ["\U0001f642", 2**70]}}),
        "owner_id": st.sampled_from(["ada", "ada", "bob"]),
    },
)
scripts = st.lists(st.lists(appends, min_size=8, max_size=12), min_size=2, max_size=2)
numbers = count(1)


class Side:
    """Conversations of its own, and what became of each append."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keys = uuid4().int & ~0xFFFF
        self.talks: list[UUID] = []
        self.fates: list[object] = []

    async def begin(self) -> None:
        async with UnitOfWork(self.database, owner_id="ada") as uow:
            # Long silent already; its times are the same for both sides.
            for number in range(TALKS):
                talk = await uow.conversations.create(title="talk", id=UUID(int=self.keys + 0xF000 + number))
                self.talks.append(talk.id)
            await uow.execute(
                "UPDATE conversations SET last_message_at = :noon WHERE id IN :ids", {"noon": NOON, "ids": self.talks}
            )
        self.talks.append(uuid4())

    def arguments(self, step: dict[str, Any]) -> dict[str, Any]:
        step = dict(step)
        talk = step.pop("talk")
        if "key" in step:
            # An id is sent to one conversation, since the order between two is nobody's.
            step["id"] = UUID(int=self.keys + talk * 10 + step.pop("key"))
        return {"conversation_id": self.talks[talk], "sent_at": NOON + timedelta(hours=step.pop("hours", 0)), **step}

    def note(self, fate: object) -> None:
        if isinstance(fate, MessageRecord):
            talk = self.talks.index(fate.conversation_id)
            same = UUID(int=0)
            self.fates.append((talk, fate._replace(id=same, conversation_id=same)))
        else:
            self.fates.append((type(fate), getattr(fate, "field", None)))

    async def left(self) -> list[object]:
        found: list[object] = []
        async with UnitOfWork(self.database) as uow:
            for talk in self.talks[:TALKS]:
                row = await uow.conversations.get(talk)
                counters = ("last_position", "last_episode", "message_count", "input_tokens", "output_tokens")
                found.append([getattr(row, name) for name in (*counters, "last_message_at")])
                found += [
                    record._replace(id=UUID(int=0), conversation_id=UUID(int=0))
                    for record in await uow.messages.history(talk)
                ]
                assert row.updated_at == row.created_at or row.updated_at - row.created_at < timedelta(seconds=1)
        return found


async def alone(side: Side, script: list[list[dict[str, Any]]]) -> None:
    for step in [step for group in script for step in group]:
        arguments = side.arguments(step)
        try:
            async with UnitOfWork(side.database, owner_id=arguments.pop("owner_id", None)) as uow:
                side.note(await uow.messages.append(**arguments))
        except StoreError as error:
            side.note(error)


async def together(side: Side, script: list[list[dict[str, Any]]]) -> None:
    async with MessageWriter(side.database) as writer:
        for group in script:
            calls = [writer.append(**side.arguments(step)) for step in group]
            for fate in await asyncio.gather(*calls, return_exceptions=True):
                side.note(fate)


@settings(max_examples=settings().max_examples // 4)
@given(script=scripts)
async def test_together_as_alone(store: Database, script: list[list[dict[str, Any]]]) -> None:
    sides = Side(store), Side(store)
    for side, do in zip(sides, (alone, together), strict=True):
        await side.begin()
        await do(side, script)
    assert sides[0].fates == sides[1].fates
    assert await sides[0].left() == await sides[1].left()
