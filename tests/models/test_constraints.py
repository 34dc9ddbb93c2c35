"""The database itself holds the limits of every value, CHECK and NOT NULL, with the same error on both."""

import pytest
import sqlalchemy as sa

from database import Session
from database.errors import CheckError
from models import ExecutionContext, Metric, ModuleType, Role, metadata
from tests.factories import (
    ModuleFactory,
)
from tests.models.catalogue import FACTORIES

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


async def put(session: Session, table: str, column: str, value: object) -> None:
    """Write the value into the table's rows as it is, past the models and their types."""
    connection = await session.core()
    await connection.execute(sa.text(f"UPDATE {table} SET {column} = :value"), {"value": value})


async def refused(session: Session, table: str, column: str, value: object, rule: str) -> None:
    with pytest.raises(CheckError) as caught:
        async with session.nested():
            await put(session, table, column, value)
    assert caught.value.constraint == f"ck_{table}_{column}{rule}"


@pytest.mark.parametrize("table", TEXTS)
async def test_text_has_its_length(session: Session, table: str) -> None:
    await FACTORIES[table].create()
    for column, fewest, most in TEXTS[table]:
        for length in (fewest, most):
            await put(session, table, column, "é" * length)
        await refused(session, table, column, "é" * (most + 1), "_length")
        if fewest:
            await refused(session, table, column, "é" * (fewest - 1), "_length")


@pytest.mark.parametrize("table", NUMBERS)
async def test_number_has_its_range(session: Session, table: str) -> None:
    await FACTORIES[table].create()
    for column, least, most in NUMBERS[table]:
        if column != "cost_usd":
            await put(session, table, column, 2**63 - 1 if most is None else most)
        await put(session, table, column, least)
        await refused(session, table, column, least - 1, "_range")
        if most is not None:
            await refused(session, table, column, most + 1, "_range")


@pytest.mark.parametrize("table", WORDS)
async def test_word_is_one_of_its_list(session: Session, table: str) -> None:
    await FACTORIES[table].create()
    for column, words in WORDS[table]:
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
    named = {f"ck_{table}_{column}_length" for table, cases in TEXTS.items() for column, *_ in cases}
    named |= {f"ck_{table}_{column}_range" for table, cases in NUMBERS.items() for column, *_ in cases}
    named |= {f"ck_{table}_{column}" for table, cases in WORDS.items() for column, _ in cases}
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


def test_words_of_the_enums_are_the_words_of_the_checks() -> None:
    words = dict(WORDS["modules"]) | dict(WORDS["messages"]) | {"metric": "cosine l2 inner_product"}
    assert words["type"].split() == list(ModuleType)
    assert words["execution_context"].split() == list(ExecutionContext)
    assert words["role"].split() == list(Role)
    assert words["metric"].split() == list(Metric)
