"""A script of steps that runs on both databases and on plain dictionaries, which must agree after each step."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from database import Database
from database.errors import StoreError
from models import EmbeddingSpace
from repositories import UnitOfWork

Outcome = tuple[str, object]

# Six ids each, and some of them more often than others, so that repeats and meetings happen all the time.
CONVERSATIONS = [UUID(int=0xC0 + number) for number in range(6)]
MESSAGES = [UUID(int=0xA0 + number) for number in range(6)]
MEMORIES = [UUID(int=0xE0 + number) for number in range(6)]
OWNERS = ["ada", "bob"]
VECTORS = [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (-1.0, 0.5)]

conversations = st.sampled_from([*CONVERSATIONS[:1] * 12, *CONVERSATIONS[1:2] * 3, *CONVERSATIONS])
messages = st.sampled_from([*MESSAGES[:2] * 3, *MESSAGES])
memories = st.sampled_from([*MEMORIES[:2] * 3, *MEMORIES])
owners = st.sampled_from([*OWNERS[:1] * 5, *OWNERS])
texts = st.sampled_from(["", "hello", "hëllo 🙂"])
tokens = st.sampled_from([None, 0, 3, 8])
keys = st.sampled_from(["mood", "place"])
values = st.sampled_from([None, 1, "x", {"a": [1, None]}])
vectors = st.sampled_from(VECTORS)


@dataclass
class Talk:
    """What a conversation is, in dictionaries."""

    owner: str
    last_position: int = 0
    messages: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, tuple[object, int]] = field(default_factory=dict)


@dataclass
class Model:
    talks: dict[UUID, Talk] = field(default_factory=dict)
    memories: dict[UUID, dict[str, Any]] = field(default_factory=dict)

    def talk(self, owner: str, id: UUID) -> Talk | None:
        talk = self.talks.get(id)
        return talk if talk is not None and talk.owner == owner else None

    def holder(self, message: UUID) -> Talk | None:
        return next((talk for talk in self.talks.values() if message in talk.messages), None)


class Stores:
    """Both databases, in one event loop of their own; each step is a unit of work."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._runner = asyncio.Runner()
        self._databases = [Database(url) for url in urls]
        self._spaces: dict[Database, EmbeddingSpace] = {}
        self._runner.run(self._open())

    async def _open(self) -> None:
        for database in self._databases:
            await database.connect()
            async with UnitOfWork(database) as uow:
                known = await uow.embedding_spaces.get_by_name("plane") if await uow.embedding_spaces.count() else None
                self._spaces[database] = known or await uow.embedding_spaces.create(name="plane", dimensions=2)

    def clear(self) -> None:
        async def clear() -> None:
            for database in self._databases:
                async with UnitOfWork(database) as uow:
                    await uow.execute("DELETE FROM conversation_memory")
                    await uow.execute("DELETE FROM conversations")

        self._runner.run(clear())

    def close(self) -> None:
        async def close() -> None:
            for database in self._databases:
                await database.close()

        self._runner.run(close())
        self._runner.close()

    def do(self, owner: str | None, step: Callable[[UnitOfWork, EmbeddingSpace], Awaitable[object]]) -> Outcome:
        """What the step gave or raised; both databases must say the same."""
        outcomes = [self._runner.run(self._one(database, owner, step)) for database in self._databases]
        assert all(outcome == outcomes[0] for outcome in outcomes), outcomes
        return outcomes[0]

    async def _one(
        self, database: Database, owner: str | None, step: Callable[[UnitOfWork, EmbeddingSpace], Awaitable[object]]
    ) -> Outcome:
        try:
            async with UnitOfWork(database, owner_id=owner) as uow:
                return "ok", await step(uow, self._spaces[database])
        except StoreError as error:
            return "error", type(error).__name__


class Machine(RuleBasedStateMachine):
    stores: Stores

    def __init__(self) -> None:
        super().__init__()
        self.stores.clear()
        self.model = Model()
        self.create("ada", CONVERSATIONS[0])

    def expect(
        self, owner: str | None, step: Callable[[UnitOfWork, EmbeddingSpace], Awaitable[object]], expected: Outcome
    ) -> None:
        outcome = self.stores.do(owner, step)
        assert outcome == expected, (outcome, expected)

    @rule(owner=owners, id=st.sampled_from(CONVERSATIONS))
    def create(self, owner: str, id: UUID) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            return (await uow.conversations.create(title="talk", id=id)).id

        taken = id in self.model.talks
        self.expect(owner, step, ("error", "DuplicateError") if taken else ("ok", id))
        if not taken:
            self.model.talks[id] = Talk(owner)

    @rule(owner=owners, id=conversations)
    def delete_conversation(self, owner: str, id: UUID) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            return await uow.conversations.delete(id)

        there = self.model.talk(owner, id) is not None
        self.expect(owner, step, ("ok", there))
        if there:
            del self.model.talks[id]
            gone = [key for key, memory in self.model.memories.items() if memory["conversation"] == id]
            for key in gone:
                del self.model.memories[key]

    def appended(self, owner: str, conversation: UUID, id: UUID, content: str, tokens: int | None) -> Outcome:
        """What append must give, with the model changed as it must change."""
        talk = self.model.talk(owner, conversation)
        if talk is None:
            return "error", "NotFoundError"
        holder = self.model.holder(id)
        if holder is None:
            talk.last_position += 1
            talk.messages[id] = {"position": talk.last_position, "content": content, "sent": content, "tokens": tokens}
        elif holder is not talk or talk.messages[id]["sent"] != content:
            return "error", "DuplicateError"
        return "ok", (talk.messages[id]["position"], talk.messages[id]["content"])

    @rule(owner=owners, conversation=conversations, id=messages, content=texts, tokens=tokens)
    def append(self, owner: str, conversation: UUID, id: UUID, content: str, tokens: int | None) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            record = await uow.messages.append(conversation, role="user", content=content, id=id, input_tokens=tokens)
            return record.position, record.content

        self.expect(owner, step, self.appended(owner, conversation, id, content, tokens))

    @rule(owner=owners, conversation=conversations, rows=st.lists(st.tuples(messages, texts, tokens), max_size=4))
    def append_many(self, owner: str, conversation: UUID, rows: list[tuple[UUID, str, int | None]]) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            records = await uow.messages.append_many(
                conversation,
                [{"id": id, "role": "user", "content": content, "input_tokens": count} for id, content, count in rows],
            )
            return [(record.position, record.content) for record in records]

        talk = self.model.talk(owner, conversation)
        before = None if talk is None else (talk.last_position, dict(talk.messages))
        outcomes = [self.appended(owner, conversation, *row) for row in rows]
        failed = next((outcome for outcome in outcomes if outcome[0] == "error"), None)
        if talk is None:
            failed = ("error", "NotFoundError")
        elif failed is not None and before is not None:
            talk.last_position, talk.messages = before
        self.expect(owner, step, failed or ("ok", [result for _, result in outcomes]))

    @rule(owner=owners, conversation=conversations, id=messages)
    def nested_unit_that_fails(self, owner: str, conversation: UUID, id: UUID) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            try:
                async with uow.nested():
                    await uow.messages.append(conversation, role="user", content="never", id=id)
                    await uow.states.set(conversation, "mood", "never")
                    raise ArithmeticError
            except (ArithmeticError, StoreError):
                return len(await uow.messages.history(conversation))

        talk = self.model.talk(owner, conversation)
        self.expect(owner, step, ("ok", len(talk.messages) if talk else 0))

    @rule(owner=owners, id=messages, content=texts, tokens=tokens, with_tokens=st.booleans())
    def edit(self, owner: str, id: UUID, content: str, tokens: int | None, with_tokens: bool) -> None:
        changes: dict[str, object] = {"content": content} | ({"input_tokens": tokens} if with_tokens else {})

        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            record = await uow.messages.edit(id, **changes)
            return record.position, record.content, record.input_tokens

        talk = self.model.holder(id)
        if talk is None or talk.owner != owner:
            self.expect(owner, step, ("error", "NotFoundError"))
            return
        message = talk.messages[id]
        message["content"] = content
        if with_tokens:
            message["tokens"] = tokens
        self.expect(owner, step, ("ok", (message["position"], content, message["tokens"])))

    @rule(owner=owners, id=messages)
    def delete_message(self, owner: str, id: UUID) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            return await uow.messages.delete(id)

        talk = self.model.holder(id)
        there = talk is not None and talk.owner == owner
        self.expect(owner, step, ("ok", there))
        if there and talk is not None:
            del talk.messages[id]
            for memory in self.model.memories.values():
                memory["message"] = None if memory["message"] == id else memory["message"]

    @rule(owner=owners, conversation=conversations, last=st.integers(1, 4), before=st.none() | st.integers(1, 6))
    def history(self, owner: str, conversation: UUID, last: int, before: int | None) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            found = await uow.messages.history(conversation, last=last, before=before)
            return [(record.position, record.content) for record in found]

        talk = self.model.talk(owner, conversation)
        there = sorted((m["position"], m["content"]) for m in talk.messages.values()) if talk else []
        self.expect(owner, step, ("ok", [row for row in there if before is None or row[0] < before][-last:]))

    @rule(owner=owners, conversation=conversations, key=keys, value=values)
    def set_state(self, owner: str, conversation: UUID, key: str, value: object) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            return (await uow.states.set(conversation, key, value)).version

        talk = self.model.talk(owner, conversation)
        if talk is None:
            self.expect(owner, step, ("error", "NotFoundError"))
            return
        version = talk.states.get(key, (None, 0))[1] + 1
        talk.states[key] = (value, version)
        self.expect(owner, step, ("ok", version))

    @rule(owner=owners, conversation=conversations, key=keys, value=values, version=st.integers(0, 3))
    def compare_and_set(self, owner: str, conversation: UUID, key: str, value: object, version: int) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            return (await uow.states.compare_and_set(conversation, key, value, version=version)).version

        talk = self.model.talk(owner, conversation)
        if talk is None or talk.states.get(key, (None, 0))[1] != version:
            self.expect(owner, step, ("error", "StaleVersionError"))
            return
        talk.states[key] = (value, version + 1)
        self.expect(owner, step, ("ok", version + 1))

    @rule(owner=owners, conversation=conversations, key=keys)
    def delete_state(self, owner: str, conversation: UUID, key: str) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            return await uow.states.delete(conversation, key)

        talk = self.model.talk(owner, conversation)
        self.expect(owner, step, ("ok", talk is not None and talk.states.pop(key, None) is not None))

    @rule(
        owner=owners, conversation=st.none() | conversations, id=memories, message=st.none() | messages, vector=vectors
    )
    def remember(
        self, owner: str, conversation: UUID | None, id: UUID, message: UUID | None, vector: tuple[float, float]
    ) -> None:
        async def step(uow: UnitOfWork, space: EmbeddingSpace) -> object:
            memory = await uow.memories.remember(
                "kept", id=id, conversation_id=conversation, first_message_id=message, vector=vector, space=space
            )
            return memory.owner_id

        holder = None if message is None else self.model.holder(message)
        absent = conversation is not None and self.model.talk(owner, conversation) is None
        absent = absent or (message is not None and (holder is None or holder.owner != owner))
        if absent:
            self.expect(owner, step, ("error", "MissingReferenceError"))
        elif id in self.model.memories:
            self.expect(owner, step, ("error", "DuplicateError"))
        else:
            self.expect(owner, step, ("ok", owner))
            self.model.memories[id] = {
                "owner": owner,
                "conversation": conversation,
                "message": message,
                "vector": vector,
                "used": 0,
            }

    def remembered(self, owner: str, conversation: UUID | None = None) -> list[UUID]:
        return [
            id
            for id, memory in self.model.memories.items()
            if memory["owner"] == owner and conversation in (None, memory["conversation"])
        ]

    @rule(owner=owners, conversation=st.none() | conversations, vector=vectors, limit=st.integers(1, 4))
    def recall(self, owner: str, conversation: UUID | None, vector: tuple[float, float], limit: int) -> None:
        async def step(uow: UnitOfWork, space: EmbeddingSpace) -> object:
            hits = await uow.memories.recall(vector, space=space, conversation_id=conversation, limit=limit)
            return [(hit.id, round(hit.score, 4) + 0.0) for hit in hits]

        def score(id: UUID) -> float:
            a, b = self.model.memories[id]["vector"], vector
            lengths = ((a[0] ** 2 + a[1] ** 2) * (b[0] ** 2 + b[1] ** 2)) ** 0.5
            return float(round((a[0] * b[0] + a[1] * b[1]) / lengths, 4)) + 0.0

        ranked = sorted(self.remembered(owner, conversation), key=lambda id: (-score(id), id))
        self.expect(owner, step, ("ok", [(id, score(id)) for id in ranked[:limit]]))

    @rule(owner=owners, ids=st.lists(memories, max_size=3, unique=True))
    def touch(self, owner: str, ids: list[UUID]) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            await uow.memories.touch(ids)
            return [(row.id, row.access_count) for row in await uow.memories.get_many(ids)]

        own = [id for id in ids if id in self.remembered(owner)]
        for id in own:
            self.model.memories[id]["used"] += 1
        self.expect(owner, step, ("ok", [(id, self.model.memories[id]["used"]) for id in own]))

    @rule(owner=owners, conversation=conversations)
    def forget(self, owner: str, conversation: UUID) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            return await uow.memories.forget(conversation_id=conversation)

        gone = self.remembered(owner, conversation)
        self.expect(owner, step, ("ok", len(gone)))
        for id in gone:
            del self.model.memories[id]

    @invariant()
    def everything_is_as_the_dictionaries_say(self) -> None:
        async def step(uow: UnitOfWork, _: EmbeddingSpace) -> object:
            found = await uow.conversations.page(archived=None)
            talks = {row.id: (row.owner_id, row.last_position, row.message_count, row.input_tokens) for row in found}
            states = {
                row.id: {
                    state.state_key: (state.state_value, state.version) for state in await uow.states.records(row.id)
                }
                for row in found
            }
            kept = await uow.memories.get_many(MEMORIES)
            return talks, states, [(row.id, row.owner_id, row.conversation_id, row.first_message_id) for row in kept]

        talks = {
            id: (
                talk.owner,
                talk.last_position,
                len(talk.messages),
                sum(message["tokens"] or 0 for message in talk.messages.values()),
            )
            for id, talk in self.model.talks.items()
        }
        states = {id: talk.states for id, talk in self.model.talks.items()}
        kept = [
            (id, memory["owner"], memory["conversation"], memory["message"])
            for id, memory in sorted(self.model.memories.items())
        ]
        self.expect(None, step, ("ok", (talks, states, kept)))
