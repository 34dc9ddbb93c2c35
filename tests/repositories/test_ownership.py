"""Another owner's rows: every verb of every repository treats them as rows that do not exist, and changes none."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from database import Database
from database.errors import StoreError
from models import metadata
from repositories import RunStats, UnitOfWork
from repositories.pagination import Page
from repositories.unit_of_work import REPOSITORIES


@dataclass
class Ids:
    """One row of each noun."""

    persona: UUID
    module: UUID
    conversation: UUID
    message: UUID
    memory: UUID
    embedding: UUID
    run: UUID
    step: UUID
    artifact: UUID
    llm_call: UUID
    source: str = "nowhere"
    key: str = "none"


NOUNS = "persona module conversation message memory embedding run step artifact llm_call".split()

Call = Callable[[UnitOfWork, Ids], Awaitable[object] | AsyncIterator[object]]

V = [1.0, 0.0]


def by_id(noun: str, attribute: str, **changes: object) -> dict[str, Call]:
    """The verbs of the base, with the id of the row."""

    def row(ids: Ids) -> UUID:
        found: UUID = getattr(ids, attribute)
        return found

    def repository(uow: UnitOfWork) -> Any:
        return getattr(uow, noun)

    return {
        f"{noun}.get": lambda uow, ids: repository(uow).get(row(ids)),
        f"{noun}.get_or_none": lambda uow, ids: repository(uow).get_or_none(row(ids)),
        f"{noun}.get_many": lambda uow, ids: repository(uow).get_many([row(ids)]),
        f"{noun}.exists": lambda uow, ids: repository(uow).exists(row(ids)),
        f"{noun}.lock": lambda uow, ids: repository(uow).lock(row(ids)),
        f"{noun}.delete": lambda uow, ids: repository(uow).delete(row(ids)),
        f"{noun}.delete_many": lambda uow, ids: repository(uow).delete_many([row(ids)]),
        f"{noun}.update": lambda uow, ids: repository(uow).update(row(ids), **changes),
    }


READS_ALL: dict[str, Call] = {
    **{
        f"{noun}.page": lambda uow, ids, noun=noun: getattr(uow, noun).page()  # type: ignore[misc]  # bound at once
        for noun in (
            "personas modules conversations messages memories embeddings runs steps artifacts llm_calls"
        ).split()
    },
    **{
        f"{noun}.count": lambda uow, ids, noun=noun: getattr(uow, noun).count()  # type: ignore[misc]  # as above
        for noun in (
            "personas modules conversations messages memories embeddings runs steps artifacts llm_calls"
        ).split()
    },
    "modules.triggered_by": lambda uow, ids: uow.modules.triggered_by("a rainy day"),
    "messages.page_of_words": lambda uow, ids: uow.messages.page_of_words("x"),
    "messages.search": lambda uow, ids: uow.messages.search("x Bob's message", vector=V),
    "memories.recall": lambda uow, ids: uow.memories.recall(V),
    "memories.stream": lambda uow, ids: uow.memories.stream(),
    "embeddings.search": lambda uow, ids: uow.embeddings.search(V),
    "runs.stats_of": lambda uow, ids: uow.runs.stats_of(),
}
"""Verbs without an id: to a new owner they show nothing."""

BY_ID: dict[str, Call] = {
    **by_id("personas", "persona", name="x"),
    "personas.create": lambda uow, ids: uow.personas.create(name="x", template="x", owner_id="bob"),
    "personas.create_many": lambda uow, ids: uow.personas.create_many(
        [{"name": "x", "template": "x", "owner_id": "bob"}]
    ),
    "personas.add_module": lambda uow, ids: uow.personas.add_module(ids.persona, ids.module),
    "personas.remove_module": lambda uow, ids: uow.personas.remove_module(ids.persona, ids.module),
    "personas.modules": lambda uow, ids: uow.personas.modules(ids.persona),
    **by_id("modules", "module", name="x"),
    "modules.create": lambda uow, ids: uow.modules.create(name="x", content="x", owner_id="bob"),
    "modules.create_many": lambda uow, ids: uow.modules.create_many([{"name": "x", "content": "x", "owner_id": "bob"}]),
    "modules.of_persona": lambda uow, ids: uow.modules.of_persona(ids.persona),
    "modules.stages": lambda uow, ids: uow.modules.stages(ids.persona),
    **by_id("conversations", "conversation", title="x"),
    "conversations.create": lambda uow, ids: uow.conversations.create(title="x", persona_id=ids.persona),
    "conversations.create_many": lambda uow, ids: uow.conversations.create_many(
        [{"title": "x", "persona_id": ids.persona}]
    ),
    "conversations.rename": lambda uow, ids: uow.conversations.rename(ids.conversation, "x"),
    "conversations.archive": lambda uow, ids: uow.conversations.archive(ids.conversation),
    "conversations.restore": lambda uow, ids: uow.conversations.restore(ids.conversation),
    **{
        name: call
        for name, call in by_id("messages", "message").items()
        if name.split(".")[1] in {"get", "get_or_none", "get_many", "exists", "delete"}
    },
    "messages.append": lambda uow, ids: uow.messages.append(ids.conversation, role="user", content="x"),
    "messages.append_many": lambda uow, ids: uow.messages.append_many(
        ids.conversation, [{"role": "user", "content": "x"}]
    ),
    "messages.append_turn": lambda uow, ids: uow.messages.append_turn(
        ids.conversation, [{"role": "user", "content": "x"}], states=[{"key": "x", "value": 1}]
    ),
    "messages.close_interrupted": lambda uow, ids: uow.messages.close_interrupted(ids.conversation),
    "messages.edit": lambda uow, ids: uow.messages.edit(ids.message, content="x", input_tokens=1),
    "messages.embed": lambda uow, ids: uow.messages.embed(ids.message, V),
    "messages.embed_many": lambda uow, ids: uow.messages.embed_many([(ids.message, V)]),
    "messages.history": lambda uow, ids: uow.messages.history(ids.conversation),
    "messages.stream": lambda uow, ids: uow.messages.stream(ids.conversation),
    "states.get": lambda uow, ids: uow.states.get(ids.conversation, "key"),
    "states.get_or_none": lambda uow, ids: uow.states.get_or_none(ids.conversation, "key"),
    "states.mapping": lambda uow, ids: uow.states.mapping(ids.conversation),
    "states.records": lambda uow, ids: uow.states.records(ids.conversation),
    "states.set": lambda uow, ids: uow.states.set(ids.conversation, "key", 2),
    "states.compare_and_set": lambda uow, ids: uow.states.compare_and_set(ids.conversation, "key", 2, version=1),
    "states.delete": lambda uow, ids: uow.states.delete(ids.conversation, "key"),
    **by_id("memories", "memory", content="x"),
    "memories.create_many": lambda uow, ids: uow.memories.create_many(
        [{"content": "x", "conversation_id": ids.conversation}]
    ),
    "memories.remember": lambda uow, ids: uow.memories.remember("x", first_message_id=ids.message),
    "memories.remember_many": lambda uow, ids: uow.memories.remember_many(
        [{"content": "x", "persona_id": ids.persona}]
    ),
    "memories.embed": lambda uow, ids: uow.memories.embed(ids.memory, V),
    "memories.embed_many": lambda uow, ids: uow.memories.embed_many([(ids.memory, V)]),
    "memories.touch": lambda uow, ids: uow.memories.touch([ids.memory]),
    "memories.forget": lambda uow, ids: uow.memories.forget(conversation_id=ids.conversation),
    **by_id("embeddings", "embedding", content="x"),
    "embeddings.create": lambda uow, ids: uow.embeddings.create(
        source_type="note", source_id=ids.source, content="x", vector=V, owner_id="bob"
    ),
    "embeddings.create_many": lambda uow, ids: uow.embeddings.create_many(
        [{"source_type": "note", "source_id": ids.source, "content": "x", "vector": V, "owner_id": "bob"}]
    ),
    "embeddings.put_many": lambda uow, ids: uow.embeddings.put_many(
        [{"source_type": "note", "source_id": ids.source, "content": "x", "vector": V}]
    ),
    "embeddings.delete_by_source": lambda uow, ids: uow.embeddings.delete_by_source("note", ids.source),
    **by_id("runs", "run", error="x"),
    "runs.save": lambda uow, ids: uow.runs.save(actor="x", conversation_id=ids.conversation),
    "runs.create_many": lambda uow, ids: uow.runs.create_many([{"actor": "x", "conversation_id": ids.conversation}]),
    "runs.get_by_key": lambda uow, ids: uow.runs.get_by_key(ids.key),
    "runs.start": lambda uow, ids: uow.runs.start(ids.run),
    "runs.finish": lambda uow, ids: uow.runs.finish(ids.run, "failed"),
    "runs.stats": lambda uow, ids: uow.runs.stats(ids.run),
    "runs.steps": lambda uow, ids: uow.runs.steps(ids.run),
    "runs.artifacts": lambda uow, ids: uow.runs.artifacts(ids.run),
    "runs.llm_calls": lambda uow, ids: uow.runs.llm_calls(ids.run),
    "runs.add_step": lambda uow, ids: uow.runs.add_step(ids.run, name="x"),
    "runs.add_artifact": lambda uow, ids: uow.runs.add_artifact(ids.run, name="x", url="https://example.com/x"),
    "runs.add_llm_call": lambda uow, ids: uow.runs.add_llm_call(ids.run, provider="x", model="x"),
    **by_id("steps", "step", name="x"),
    "steps.create": lambda uow, ids: uow.steps.create(ids.run, name="x"),
    "steps.create_many": lambda uow, ids: uow.steps.create_many([{"run_id": ids.run, "name": "x"}]),
    "steps.of_run": lambda uow, ids: uow.steps.of_run(ids.run),
    "steps.start": lambda uow, ids: uow.steps.start(ids.step),
    "steps.finish": lambda uow, ids: uow.steps.finish(ids.step, "failed"),
    **by_id("artifacts", "artifact", name="x"),
    "artifacts.create": lambda uow, ids: uow.artifacts.create(ids.run, name="x", url="https://example.com/x"),
    "artifacts.create_many": lambda uow, ids: uow.artifacts.create_many(
        [{"run_id": ids.run, "name": "x", "url": "https://example.com/x"}]
    ),
    "artifacts.of_run": lambda uow, ids: uow.artifacts.of_run(ids.run),
    **by_id("llm_calls", "llm_call", error="x"),
    "llm_calls.create": lambda uow, ids: uow.llm_calls.create(
        provider="x", model="x", conversation_id=ids.conversation
    ),
    "llm_calls.create_many": lambda uow, ids: uow.llm_calls.create_many(
        [{"provider": "x", "model": "x", "message_id": ids.message}]
    ),
    "llm_calls.of_run": lambda uow, ids: uow.llm_calls.of_run(ids.run),
}

OF_ALL_OWNERS = "embedding_spaces"
"""Spaces are everybody's to read and nobody's to change in a session of one owner; their own tests say so."""

BY_FUZZY_INDEX = {"personas.similar", "conversations.similar", "messages.similar"}
"""They need an index that not every database has: tests/repositories/search/test_fuzzy.py asks them."""


def test_every_verb_is_asked() -> None:
    verbs = {
        f"{noun}.{verb}"
        for noun in REPOSITORIES.keys() - {OF_ALL_OWNERS}
        for verb, function in inspect.getmembers(REPOSITORIES[noun], inspect.isfunction)
        if not verb.startswith("_")
    }
    assert verbs == set(READS_ALL) | set(BY_ID) | BY_FUZZY_INDEX


async def rows_of(database: Database) -> dict[str, list[dict[str, object]]]:
    return {
        table.name: sorted(await database.fetch_all(f"SELECT * FROM {table.name}"), key=str)
        for table in metadata.sorted_tables
    }


@pytest.fixture
async def bobs(fresh_database: Database) -> Ids:
    """A row of each noun that is Bob's."""
    async with UnitOfWork(fresh_database) as uow:
        space = await uow.embedding_spaces.create(name="plane", dimensions=2)
        await uow.embedding_spaces.activate(space.id)
    async with UnitOfWork(fresh_database, owner_id="bob") as uow:
        persona = await uow.personas.create(name="Odile", template="x")
        module = await uow.modules.create(name="rain", content="x", trigger_pattern="rain")
        await uow.personas.add_module(persona.id, module.id)
        talk = await uow.conversations.create(title="Bob's", persona_id=persona.id)
        message = await uow.messages.append(talk.id, role="user", content="secret", input_tokens=1)
        await uow.messages.embed(message.id, V)
        await uow.states.set(talk.id, "key", 1)
        memory = await uow.memories.remember("secret", conversation_id=talk.id, vector=V)
        embedding = await uow.embeddings.create(source_type="note", source_id="bobs", content="secret", vector=V)
        run = await uow.runs.save(actor="agent", idempotency_key="bobs", conversation_id=talk.id)
        step = await uow.runs.add_step(run.id, name="x")
        artifact = await uow.runs.add_artifact(run.id, name="x", url="https://example.com/x")
        call = await uow.runs.add_llm_call(run.id, provider="x", model="x", cost_usd=Decimal("0.1"))
    return Ids(
        persona.id,
        module.id,
        talk.id,
        message.id,
        memory.id,
        embedding.id,
        run.id,
        step.id,
        artifact.id,
        call.id,
        "bobs",
        "bobs",
    )


async def outcome(database: Database, call: Call, ids: Ids) -> object:
    """What Ada gets; what it writes is kept, so that a change would be seen."""
    try:
        async with UnitOfWork(database, owner_id="ada") as uow:
            answer = call(uow, ids)
            if isinstance(answer, AsyncIterator):
                return [row async for row in answer]
            result = await answer
            return list(result) if isinstance(result, Page) else result
    except StoreError as error:
        return type(error)


async def test_another_owners_rows_are_as_if_they_were_not(fresh_database: Database, bobs: Ids) -> None:
    before = await rows_of(fresh_database)
    for name, call in BY_ID.items():
        absent = Ids(**{noun: uuid4() for noun in NOUNS})  # type: ignore[arg-type]  # the others have defaults
        theirs, nobodys = await outcome(fresh_database, call, bobs), await outcome(fresh_database, call, absent)
        assert repr(theirs) == repr(nobodys), name
    after = await rows_of(fresh_database)
    for table, rows in before.items():
        assert [row for row in after[table] if row in rows] == rows, table


async def test_a_new_owner_is_shown_nothing(fresh_database: Database, bobs: Ids) -> None:
    for name, call in READS_ALL.items():
        shown = await outcome(fresh_database, call, bobs)
        if name == "runs.stats_of":
            assert isinstance(shown, RunStats)
            assert shown.runs == shown.calls == 0
        else:
            assert shown == 0 or len(shown) == 0, name  # type: ignore[arg-type]  # a sequence
