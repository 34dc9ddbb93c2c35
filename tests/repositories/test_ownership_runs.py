"""Roundabout ways to another owner's personas, modules and runs: by a new row's id, key, trace, owner or references."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest
import sqlalchemy as sa

from database import Database, Session, StoreError
from database.errors import DuplicateError, InvalidInputError, MissingReferenceError, NotFoundError
from models import LLMCall, Module, Persona, metadata
from repositories import UnitOfWork
from tests.factories import (
    LLMCallFactory,
    MessageFactory,
    ModuleFactory,
    PersonaFactory,
    PersonaModuleFactory,
    RunFactory,
    StepFactory,
)

PERSONA: dict[str, Any] = {"name": "x", "template": "t"}
MODULE: dict[str, Any] = {"name": "x", "content": "c"}
RUN: dict[str, Any] = {"actor": "researcher"}
CALL: dict[str, Any] = {"provider": "p", "model": "m"}

Rows: TypeAlias = dict[str, Any]
"""Bob's rows by their noun, and one of Ada's own as "hers"."""

WAYS: dict[str, tuple[Callable[[UnitOfWork, Rows], Awaitable[object]], object]] = {
    "a persona for him": (lambda uow, his: uow.personas.create(**PERSONA, owner_id="bob"), InvalidInputError),
    "a persona of his id": (lambda uow, his: uow.personas.create(**PERSONA, id=his["persona"].id), DuplicateError),
    "personas in bulk": (
        lambda uow, his: uow.personas.create_many([PERSONA | {"id": his["persona"].id}]),
        DuplicateError,
    ),
    "a module for him": (lambda uow, his: uow.modules.create(**MODULE, owner_id="bob"), InvalidInputError),
    "the rule of a module": (lambda uow, his: uow.modules.update(his["module"].id, content=None), NotFoundError),
    "the triggers of his persona": (
        lambda uow, his: uow.modules.triggered_by("tea", persona_id=his["persona"].id),
        [],
    ),
    "a run of his id": (lambda uow, his: uow.runs.save(**RUN, id=his["run"].id, status="running"), DuplicateError),
    "a run of his id and key": (
        lambda uow, his: uow.runs.save(**RUN, id=his["run"].id, idempotency_key="k"),
        DuplicateError,
    ),
    "a run for him": (lambda uow, his: uow.runs.save(**RUN, owner_id="bob"), InvalidInputError),
    "a run of his trace": (lambda uow, his: uow.runs.save(**RUN, trace_id="t"), DuplicateError),
    "his key by name": (lambda uow, his: uow.runs.get_by_key("k", owner_id="bob"), InvalidInputError),
    "his runs by name": (lambda uow, his: uow.runs.count(owner_id="bob"), 0),
    "his runs by their actor": (lambda uow, his: uow.runs.count(actor="researcher"), 0),
    "his costs by name": (lambda uow, his: calls_and_runs(uow, "owner_id", "bob"), 0),
    "his costs by the actor": (lambda uow, his: calls_and_runs(uow, "actor", "researcher"), 0),
    "a step in bulk": (
        lambda uow, his: uow.steps.create_many([{"run_id": his["run"].id, "name": "x"}]),
        MissingReferenceError,
    ),
    "a call in his run": (lambda uow, his: uow.llm_calls.create(his["run"].id, **CALL), MissingReferenceError),
    "a call for his message": (
        lambda uow, his: uow.llm_calls.create(**CALL, message_id=his["message"].id),
        MissingReferenceError,
    ),
    "a call of his step": (
        lambda uow, his: uow.llm_calls.create(**CALL, step_id=his["step"].id),
        MissingReferenceError,
    ),
    "a call moved to his message": (
        lambda uow, his: uow.llm_calls.update(his["hers"].id, message_id=his["message"].id),
        MissingReferenceError,
    ),
}


async def calls_and_runs(uow: UnitOfWork, name: str, value: str) -> int:
    stats = await uow.runs.stats_of(**{name: value})  # type: ignore[arg-type]  # texts alone are given
    return stats.runs + stats.calls


async def rows_of_every_table(session: Session) -> dict[str, set[str]]:
    connection = await session.core()
    return {
        table.name: {repr(tuple(row)) for row in await connection.execute(sa.select(table))}
        for table in metadata.sorted_tables
    }


@pytest.fixture
async def his(session: Session) -> Rows:
    persona: Persona = await PersonaFactory.create(owner_id="bob")
    module: Module = await ModuleFactory.create(owner_id="bob", trigger_pattern="tea", script="s")
    await PersonaModuleFactory.create(persona_id=persona.id, module_id=module.id)
    run = await RunFactory.create(owner_id="bob", idempotency_key="k", trace_id="t")
    await LLMCallFactory.create(run_id=run.id, owner_id="bob")
    hers: LLMCall = await LLMCallFactory.create(owner_id="ada")
    return {
        "persona": persona,
        "module": module,
        "run": run,
        "step": await StepFactory.create(run_id=run.id),
        "message": await MessageFactory.create(conversation_id__owner_id="bob"),
        "hers": hers,
    }


async def test_no_way_leads_to_anothers_rows(database: Database, session: Session, his: Rows) -> None:
    before = await rows_of_every_table(session)
    for name, (way, expected) in WAYS.items():
        found: object
        async with UnitOfWork(database, owner_id="ada") as uow:
            try:
                async with uow.nested():
                    found = await way(uow, his)
            except StoreError as error:
                found = type(error)
        assert found == expected, name
        assert await rows_of_every_table(session) == before, name
