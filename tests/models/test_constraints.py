"""The database itself holds every limit: CHECK, NOT NULL, UNIQUE and foreign keys, with the same error on both."""

from typing import Any

import pytest
import sqlalchemy as sa

from database import Session
from database.errors import CheckError, DuplicateError, MissingReferenceError
from models import ExecutionContext, Metric, ModuleType, Role, SpaceStatus, metadata, new_id
from tests.factories import (
    ConversationFactory,
    EmbeddingFactory,
    EmbeddingSpaceFactory,
    MessageFactory,
    ModuleFactory,
    PersonaFactory,
    RunFactory,
    StateFactory,
    StepFactory,
)
from tests.models.catalogue import FACTORIES, insert

MILLION = 1_000_000
OWNER = ("owner_id", 1, 255)

# Table: its texts as (column, fewest characters, most characters).
TEXTS: dict[str, list[tuple[str, int, int]]] = {
    "personas": [
        OWNER,
        ("name", 0, 255),
        ("description", 0, 10_000),
        ("template", 0, MILLION),
        ("mode", 0, 50),
        ("loop_frequency", 0, 50),
        ("first_message", 0, 10_000),
        ("image_path", 0, 500),
    ],
    "modules": [
        OWNER,
        ("name", 0, 255),
        ("description", 0, 10_000),
        ("content", 0, MILLION),
        ("trigger_pattern", 0, 500),
        ("script", 0, MILLION),
    ],
    "conversations": [OWNER, ("title", 0, 255), ("provider_type", 0, 50)],
    "messages": [
        ("name", 0, 255),
        ("content", 0, MILLION),
        ("thinking", 0, MILLION),
        ("tool_call_id", 0, 255),
        ("fingerprint", 0, 64),
    ],
    "conversation_states": [("state_key", 0, 255)],
    "conversation_memory": [OWNER, ("content", 0, MILLION), ("memory_type", 0, 50)],
    "embedding_spaces": [("name", 0, 255)],
    "embeddings": [OWNER, ("source_type", 0, 50), ("source_id", 0, 255), ("content", 0, MILLION)],
    "runs": [OWNER, ("actor", 0, 255), ("trace_id", 0, 255), ("idempotency_key", 0, 255), ("error", 0, 10_000)],
    "steps": [("name", 0, 255), ("kind", 0, 50), ("error", 0, 10_000)],
    "artifacts": [("name", 0, 255), ("media_type", 0, 255), ("url", 0, 2_000), ("sha256", 64, 64)],
    "llm_calls": [OWNER, ("provider", 0, 50), ("model", 0, 255), ("error", 0, 10_000)],
}

# Table: its numbers as (column, least, most), None where only the width of the type ends them.
NUMBERS: dict[str, list[tuple[str, int, int | None]]] = {
    "conversations": [
        ("last_position", 0, None),
        ("last_episode", 0, None),
        ("message_count", 0, None),
        ("input_tokens", 0, None),
        ("output_tokens", 0, None),
    ],
    "messages": [("position", 1, None), ("input_tokens", 0, None), ("output_tokens", 0, None), ("episode", 1, None)],
    "conversation_states": [("version", 1, None)],
    "conversation_memory": [("importance", 0, 1), ("access_count", 0, None)],
    "embedding_spaces": [("dimensions", 1, 16_000)],
    "embeddings": [("chunk", 0, None)],
    "runs": [("last_step_position", 0, None)],
    "steps": [("position", 1, None)],
    "artifacts": [("size_bytes", 0, None)],
    "llm_calls": [
        ("input_tokens", 0, None),
        ("output_tokens", 0, None),
        ("cached_tokens", 0, None),
        ("reasoning_tokens", 0, None),
        ("cost_usd", 0, None),
        ("latency_ms", 0, None),
    ],
}

# Table: its words as (column, all of them).
WORDS: dict[str, list[tuple[str, str]]] = {
    "modules": [("type", "simple advanced"), ("execution_context", "immediate post_response on_demand")],
    "messages": [("role", "system developer user assistant tool"), ("status", "complete streaming interrupted")],
    "embedding_spaces": [("metric", "cosine l2 inner_product"), ("status", "building active retired")],
    "runs": [("status", "pending running succeeded failed cancelled")],
    "steps": [("status", "pending running succeeded failed cancelled skipped")],
}

TEXT_CASES = [(table, *case) for table, cases in TEXTS.items() for case in cases]
NUMBER_CASES = [(table, *case) for table, cases in NUMBERS.items() for case in cases]
WORD_CASES = [(table, *case) for table, cases in WORDS.items() for case in cases]
REFERENCES = sorted((table.name, key.parent.name) for table in metadata.tables.values() for key in table.foreign_keys)


async def put(session: Session, table: str, column: str, value: object) -> None:
    """Write the value into the table's rows as it is, past the models and their types."""
    connection = await session.core()
    await connection.execute(sa.text(f"UPDATE {table} SET {column} = :value"), {"value": value})


async def refused(session: Session, table: str, column: str, value: object, rule: str) -> None:
    with pytest.raises(CheckError) as caught:
        async with session.nested():
            await put(session, table, column, value)
    assert caught.value.constraint == f"ck_{table}_{column}{rule}"


@pytest.mark.parametrize(("table", "column", "fewest", "most"), TEXT_CASES)
async def test_text_has_its_length(session: Session, table: str, column: str, fewest: int, most: int) -> None:
    await FACTORIES[table].create()
    for length in (fewest, most):
        await put(session, table, column, "é" * length)
    for length in {most + 1, max(fewest - 1, 0)} - {fewest}:
        await refused(session, table, column, "é" * length, "_length")


@pytest.mark.parametrize(("table", "column", "least", "most"), NUMBER_CASES)
async def test_number_has_its_range(session: Session, table: str, column: str, least: int, most: int | None) -> None:
    await FACTORIES[table].create()
    largest = 2**63 - 1 if most is None else most
    if column != "cost_usd":
        await put(session, table, column, largest)
    await put(session, table, column, least)
    await refused(session, table, column, least - 1, "_range")
    if most is not None:
        await refused(session, table, column, most + 1, "_range")


@pytest.mark.parametrize(("table", "column", "words"), WORD_CASES)
async def test_word_is_one_of_its_list(session: Session, table: str, column: str, words: str) -> None:
    await FACTORIES[table].create()
    for word in words.split():
        await put(session, table, column, word)
    for word in ("other", words.split()[0].upper(), ""):
        await refused(session, table, column, word, "")


async def test_module_has_content_or_script(session: Session) -> None:
    await ModuleFactory.create()
    with pytest.raises(CheckError) as caught:
        async with session.nested():
            await put(session, "modules", "content", None)
    assert caught.value.constraint == "ck_modules_content_or_script"
    await put(session, "modules", "script", "print('hello')")
    await put(session, "modules", "content", None)


def test_the_cases_name_every_check() -> None:
    named = {f"ck_{table}_{column}_length" for table, column, _, _ in TEXT_CASES}
    named |= {f"ck_{table}_{column}_range" for table, column, _, _ in NUMBER_CASES}
    named |= {f"ck_{table}_{column}" for table, column, _ in WORD_CASES}
    named |= {"ck_modules_content_or_script"}
    there = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
    }
    assert there == named


# Table: the columns that may be null; all others may not.
NULLABLE = {
    "personas": "owner_id description mode loop_frequency first_message image_path",
    "modules": "owner_id description content trigger_pattern script",
    "persona_modules": "",
    "conversations": "owner_id persona_id provider_type provider_config archived_at",
    "messages": "name thinking tool_calls tool_call_id edited_at input_tokens output_tokens",
    "message_embeddings": "",
    "conversation_states": "persona_id module_id",
    "conversation_memory": "owner_id conversation_id persona_id first_message_id occurred_at last_accessed_at",
    "memory_embeddings": "",
    "embedding_spaces": "",
    "embeddings": "owner_id",
    "runs": "owner_id conversation_id trace_id idempotency_key result error started_at finished_at",
    "steps": "kind input_data output_data error started_at finished_at",
    "artifacts": "step_id media_type size_bytes sha256",
    "llm_calls": "owner_id run_id step_id message_id conversation_id input_tokens output_tokens cached_tokens"
    " reasoning_tokens cost_usd latency_ms error",
}


@pytest.mark.parametrize("table", sorted(NULLABLE))
async def test_only_these_columns_may_be_null(session: Session, table: str) -> None:
    await FACTORIES[table].create()
    for column in metadata.tables[table].columns:
        if table == "modules" and column.name in ("content", "script"):
            continue  # one of them has to be there: the test above
        if column.name in NULLABLE[table].split():
            await put(session, table, column.name, None)
        else:
            with pytest.raises(CheckError):
                async with session.nested():
                    await put(session, table, column.name, None)


@pytest.mark.parametrize("table", sorted(FACTORIES))
async def test_key_is_unique(session: Session, table: str) -> None:
    first = await FACTORIES[table].create()
    others: dict[str, Any] = {}
    if table == "embedding_spaces":
        others = {"name": "another"}
    if table in ("messages", "steps"):
        others = {"position": 2}
    if table == "embeddings":
        others = {"chunk": 1}
    if table == "conversation_states":
        others = {"state_key": "another"}
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, first, **others)
    assert caught.value.constraint == f"pk_{table}"


async def test_position_is_unique_in_its_conversation(session: Session) -> None:
    message = await MessageFactory.create(position=7)
    await MessageFactory.create(position=7)
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, message, id=new_id())
    assert caught.value.constraint == "uq_messages_conversation_id_position"


async def test_position_is_unique_in_its_run(session: Session) -> None:
    step = await StepFactory.create(position=7)
    await StepFactory.create(position=7)
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, step, id=new_id())
    assert caught.value.constraint == "uq_steps_run_id_position"


@pytest.mark.parametrize("with_persona", [False, True])
@pytest.mark.parametrize("with_module", [False, True])
async def test_state_key_is_unique_where_two_nulls_are_equal(
    session: Session, with_persona: bool, with_module: bool
) -> None:
    state = await StateFactory.create(
        persona_id=(await PersonaFactory.create()).id if with_persona else None,
        module_id=(await ModuleFactory.create()).id if with_module else None,
    )
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, state, id=new_id())
    assert caught.value.constraint == "uq_conversation_states_key"
    await insert(session, state, id=new_id(), state_key="another")
    await insert(session, state, id=new_id(), persona_id=(await PersonaFactory.create()).id)
    await insert(session, state, id=new_id(), module_id=(await ModuleFactory.create()).id)
    await insert(session, state, id=new_id(), conversation_id=(await ConversationFactory.create()).id)


async def test_space_name_is_unique(session: Session) -> None:
    space = await EmbeddingSpaceFactory.create()
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, space, id=new_id())
    assert caught.value.constraint == "uq_embedding_spaces_name"


async def test_one_space_is_active(session: Session) -> None:
    active = await EmbeddingSpaceFactory.create(status=SpaceStatus.ACTIVE)
    with pytest.raises(DuplicateError):
        async with session.nested():
            await insert(session, active, id=new_id(), name="another")
    for status in (SpaceStatus.BUILDING, SpaceStatus.RETIRED):
        for n in range(2):
            await insert(session, active, id=new_id(), name=f"{status} {n}", status=status)


async def test_source_is_unique_by_chunk_space_and_owner(session: Session) -> None:
    shared = await EmbeddingFactory.create()
    owned = await EmbeddingFactory.create(owner_id="ada")
    for embedding in (shared, owned):
        with pytest.raises(DuplicateError) as caught:
            async with session.nested():
                await insert(session, embedding, id=new_id())
        assert caught.value.constraint == "uq_embeddings_source"
    for change in ({"chunk": 1}, {"owner_id": "bob"}, {"source_id": "other"}, {"source_type": "other"}):
        await insert(session, shared, id=new_id(), **change)
    space = await EmbeddingSpaceFactory.create()
    await insert(session, shared, id=new_id(), embedding_space_id=space.id)


async def test_trace_is_unique(session: Session) -> None:
    run = await RunFactory.create(trace_id="4bf92f35")
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, run, id=new_id())
    assert caught.value.constraint == "uq_runs_trace_id"
    await RunFactory.create_batch(2, trace_id=None)


@pytest.mark.parametrize("owner_id", [None, "ada"])
async def test_idempotency_key_is_unique_for_its_owner(session: Session, owner_id: str | None) -> None:
    run = await RunFactory.create(idempotency_key="order-7", owner_id=owner_id)
    with pytest.raises(DuplicateError) as caught:
        async with session.nested():
            await insert(session, run, id=new_id())
    assert caught.value.constraint == "uq_runs_idempotency_key"
    await RunFactory.create(idempotency_key="order-7", owner_id="bob")
    await RunFactory.create_batch(2, idempotency_key=None, owner_id=owner_id)


def test_the_cases_name_every_unique_rule() -> None:
    rules = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, sa.UniqueConstraint)
    } | {str(index.name) for table in metadata.tables.values() for index in table.indexes if index.unique}
    assert rules == {
        "uq_messages_conversation_id_position",
        "uq_steps_run_id_position",
        "uq_conversation_states_key",
        "uq_embedding_spaces_name",
        "uq_embedding_spaces_active",
        "uq_embeddings_source",
        "uq_runs_trace_id",
        "uq_runs_idempotency_key",
    }


@pytest.mark.parametrize(("table", "column"), REFERENCES)
async def test_reference_has_its_row(session: Session, table: str, column: str) -> None:
    await FACTORIES[table].create()
    nowhere = sa.update(metadata.tables[table]).values({column: new_id()})
    connection = await session.core()
    with pytest.raises(MissingReferenceError):
        async with session.nested():
            await connection.execute(nowhere)


def test_words_of_the_enums_are_the_words_of_the_checks() -> None:
    words = dict(WORDS["modules"]) | dict(WORDS["messages"]) | {"metric": "cosine l2 inner_product"}
    assert words["type"].split() == list(ModuleType)
    assert words["execution_context"].split() == list(ExecutionContext)
    assert words["role"].split() == list(Role)
    assert words["metric"].split() == list(Metric)
