"""Every verb of personas, modules and runs, called with another owner's ids: finds nothing, changes nothing."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isfunction
from typing import Any, TypeAlias
from uuid import UUID

import pytest
import sqlalchemy as sa

from database import Database, Session, StoreError
from database.errors import DuplicateError, InvalidInputError, MissingReferenceError, NotFoundError
from models import Artifact, LLMCall, Module, Persona, Run, Step, metadata
from repositories.module import Stages
from repositories.pagination import Page
from repositories.unit_of_work import UnitOfWork
from tests.factories import (
    ArtifactFactory,
    LLMCallFactory,
    MemoryFactory,
    MessageFactory,
    ModuleFactory,
    PersonaFactory,
    PersonaModuleFactory,
    RunFactory,
    StepFactory,
)


@dataclass(frozen=True)
class Theirs:
    """Bob's rows."""

    personas: Persona
    modules: Module
    runs: Run
    steps: Step
    artifacts: Artifact
    llm_calls: LLMCall
    conversation_id: UUID
    message_id: UUID


Call: TypeAlias = Callable[[UnitOfWork, Theirs], Awaitable[object]]
Nothing = object()
"""Whatever has no row in it."""

NOUNS = ("personas", "modules", "runs", "steps", "artifacts", "llm_calls")

NEW: dict[str, dict[str, Any]] = {
    "personas": {"name": "x", "template": "t"},
    "modules": {"name": "x", "content": "c"},
    "runs": {"actor": "a"},
    "steps": {"name": "x"},
    "artifacts": {"name": "x", "url": "https://files.example/x"},
    "llm_calls": {"provider": "p", "model": "m"},
}
CHANGE: dict[str, dict[str, Any]] = {"runs": {"actor": "x"}, "llm_calls": {"model": "x"}}
OF_A_RUN = ("steps", "artifacts")


def bulk_row(noun: str, theirs: Theirs) -> dict[str, Any]:
    """A row that reaches for Bob's: by its parent, or by its id."""
    return NEW[noun] | ({"run_id": theirs.runs.id} if noun in OF_A_RUN else {"id": getattr(theirs, noun).id})


def verbs_of_all(noun: str) -> dict[str, tuple[Call, object]]:
    change = CHANGE.get(noun, {"name": "x"})

    def id_in(theirs: Theirs) -> UUID:
        found: UUID = getattr(theirs, noun).id
        return found

    refused = MissingReferenceError if noun in OF_A_RUN else DuplicateError
    return {
        f"{noun}.get": (lambda uow, t: getattr(uow, noun).get(id_in(t)), NotFoundError),
        f"{noun}.get_or_none": (lambda uow, t: getattr(uow, noun).get_or_none(id_in(t)), Nothing),
        f"{noun}.get_many": (lambda uow, t: getattr(uow, noun).get_many([id_in(t)]), Nothing),
        f"{noun}.page": (lambda uow, t: getattr(uow, noun).page(), Nothing),
        f"{noun}.count": (lambda uow, t: getattr(uow, noun).count(), Nothing),
        f"{noun}.exists": (lambda uow, t: getattr(uow, noun).exists(id_in(t)), Nothing),
        f"{noun}.lock": (lambda uow, t: getattr(uow, noun).lock(id_in(t)), NotFoundError),
        f"{noun}.update": (lambda uow, t: getattr(uow, noun).update(id_in(t), **change), NotFoundError),
        f"{noun}.delete": (lambda uow, t: getattr(uow, noun).delete(id_in(t)), Nothing),
        f"{noun}.delete_many": (lambda uow, t: getattr(uow, noun).delete_many([id_in(t)]), Nothing),
        f"{noun}.create_many": (lambda uow, t: getattr(uow, noun).create_many([bulk_row(noun, t)]), refused),
    }


VERBS: dict[str, tuple[Call, object]] = {
    "personas.create": (lambda uow, t: uow.personas.create(**NEW["personas"], owner_id="bob"), InvalidInputError),
    "personas.create with the id": (
        lambda uow, t: uow.personas.create(**NEW["personas"], id=t.personas.id),
        DuplicateError,
    ),
    "personas.modules": (lambda uow, t: uow.personas.modules(t.personas.id), Nothing),
    "personas.add_module": (lambda uow, t: uow.personas.add_module(t.personas.id, t.modules.id), NotFoundError),
    "personas.remove_module": (lambda uow, t: uow.personas.remove_module(t.personas.id, t.modules.id), Nothing),
    "modules.create": (lambda uow, t: uow.modules.create(**NEW["modules"], owner_id="bob"), InvalidInputError),
    "modules.update of content": (lambda uow, t: uow.modules.update(t.modules.id, content=None), NotFoundError),
    "modules.of_persona": (lambda uow, t: uow.modules.of_persona(t.personas.id), Nothing),
    "modules.stages": (lambda uow, t: uow.modules.stages(t.personas.id), Nothing),
    "modules.triggered_by": (lambda uow, t: uow.modules.triggered_by("tea"), Nothing),
    "modules.triggered_by of a persona": (
        lambda uow, t: uow.modules.triggered_by("tea", persona_id=t.personas.id),
        Nothing,
    ),
    "runs.save": (lambda uow, t: uow.runs.save(actor="x", id=t.runs.id, status="running"), DuplicateError),
    "runs.save with the key": (
        lambda uow, t: uow.runs.save(actor="x", id=t.runs.id, idempotency_key="k"),
        DuplicateError,
    ),
    "runs.save for the owner": (lambda uow, t: uow.runs.save(actor="x", owner_id="bob"), InvalidInputError),
    "runs.save in the conversation": (
        lambda uow, t: uow.runs.save(actor="x", conversation_id=t.conversation_id),
        MissingReferenceError,
    ),
    "runs.save with the trace": (lambda uow, t: uow.runs.save(actor="x", trace_id="t"), DuplicateError),
    "runs.get_by_key": (lambda uow, t: uow.runs.get_by_key("k"), Nothing),
    "runs.get_by_key of the owner": (lambda uow, t: uow.runs.get_by_key("k", owner_id="bob"), InvalidInputError),
    "runs.page of the owner": (lambda uow, t: uow.runs.page(owner_id="bob"), Nothing),
    "runs.count of the actor": (lambda uow, t: uow.runs.count(actor="researcher"), Nothing),
    "runs.start": (lambda uow, t: uow.runs.start(t.runs.id), NotFoundError),
    "runs.finish": (lambda uow, t: uow.runs.finish(t.runs.id, "failed"), NotFoundError),
    "runs.add_step": (lambda uow, t: uow.runs.add_step(t.runs.id, **NEW["steps"]), MissingReferenceError),
    "runs.add_artifact": (lambda uow, t: uow.runs.add_artifact(t.runs.id, **NEW["artifacts"]), MissingReferenceError),
    "runs.add_llm_call": (lambda uow, t: uow.runs.add_llm_call(t.runs.id, **NEW["llm_calls"]), MissingReferenceError),
    "runs.steps": (lambda uow, t: uow.runs.steps(t.runs.id), Nothing),
    "runs.artifacts": (lambda uow, t: uow.runs.artifacts(t.runs.id), Nothing),
    "runs.llm_calls": (lambda uow, t: uow.runs.llm_calls(t.runs.id), Nothing),
    "runs.stats": (lambda uow, t: uow.runs.stats(t.runs.id), NotFoundError),
    "runs.stats_of": (lambda uow, t: calls_and_runs(uow, actor="researcher"), Nothing),
    "runs.stats_of the owner": (lambda uow, t: calls_and_runs(uow, owner_id="bob"), Nothing),
    "steps.create": (lambda uow, t: uow.steps.create(t.runs.id, **NEW["steps"]), MissingReferenceError),
    "steps.of_run": (lambda uow, t: uow.steps.of_run(t.runs.id), Nothing),
    "steps.start": (lambda uow, t: uow.steps.start(t.steps.id), NotFoundError),
    "steps.finish": (lambda uow, t: uow.steps.finish(t.steps.id, "failed"), NotFoundError),
    "artifacts.create": (lambda uow, t: uow.artifacts.create(t.runs.id, **NEW["artifacts"]), MissingReferenceError),
    "artifacts.of_run": (lambda uow, t: uow.artifacts.of_run(t.runs.id), Nothing),
    "llm_calls.create": (lambda uow, t: uow.llm_calls.create(t.runs.id, **NEW["llm_calls"]), MissingReferenceError),
    "llm_calls.create for the message": (
        lambda uow, t: uow.llm_calls.create(message_id=t.message_id, **NEW["llm_calls"]),
        MissingReferenceError,
    ),
    "llm_calls.create for the step": (
        lambda uow, t: uow.llm_calls.create(step_id=t.steps.id, **NEW["llm_calls"]),
        MissingReferenceError,
    ),
    "llm_calls.of_run": (lambda uow, t: uow.llm_calls.of_run(t.runs.id), Nothing),
}
for each in NOUNS:
    VERBS |= verbs_of_all(each)


async def calls_and_runs(uow: UnitOfWork, **of: str) -> int:
    stats = await uow.runs.stats_of(**of)  # type: ignore[arg-type]  # only texts are given here
    return stats.runs + stats.calls


async def undone(uow: UnitOfWork, call: Awaitable[object]) -> object:
    """What the call gives; what it wrote is taken back."""
    savepoint = await uow.session.begin_nested()
    found = await call
    await savepoint.rollback()
    return found


async def outcome(uow: UnitOfWork, call: Awaitable[object]) -> object:
    """The class of the error that the call raises, or Nothing if it finds nothing."""
    try:
        async with uow.nested():
            found = await call
    except StoreError as error:
        return type(error)
    return Nothing if is_nothing(found) else found


def is_nothing(found: object) -> bool:
    if isinstance(found, Page):
        return not found.rows and found.next is None
    if isinstance(found, Stages):
        return not any(found)
    return not found


async def rows_of_every_table(session: Session) -> dict[str, set[str]]:
    connection = await session.core()
    return {
        table.name: {repr(tuple(row)) for row in await connection.execute(sa.select(table))}
        for table in metadata.sorted_tables
    }


@pytest.fixture
async def theirs(session: Session) -> Theirs:
    persona = await PersonaFactory.create(owner_id="bob")
    module = await ModuleFactory.create(owner_id="bob", trigger_pattern="tea", script="s")
    await PersonaModuleFactory.create(persona_id=persona.id, module_id=module.id)
    await MemoryFactory.create(owner_id="bob", conversation_id=None, persona_id=persona.id)
    message = await MessageFactory.create(conversation_id__owner_id="bob")
    run = await RunFactory.create(owner_id="bob", idempotency_key="k", trace_id="t")
    step = await StepFactory.create(run_id=run.id)
    artifact = await ArtifactFactory.create(run_id=run.id, step_id=step.id)
    call = await LLMCallFactory.create(run_id=run.id, owner_id="bob", message_id=message.id)
    return Theirs(persona, module, run, step, artifact, call, message.conversation_id, message.id)


@pytest.mark.parametrize("noun", NOUNS)
async def test_anothers_rows_are_not_there(noun: str, database: Database, session: Session, theirs: Theirs) -> None:
    before = await rows_of_every_table(session)
    for verb, (call, expected) in VERBS.items():
        if verb.startswith(f"{noun}."):
            async with UnitOfWork(database, owner_id="ada") as uow:
                assert await outcome(uow, call(uow, theirs)) is expected, verb
            assert await rows_of_every_table(session) == before, verb


async def test_the_same_calls_work_on_ones_own_rows(database: Database, session: Session, theirs: Theirs) -> None:
    """That nothing was found above is because of the owner, not of the calls."""
    for verb, (call, expected) in VERBS.items():
        if expected in (Nothing, NotFoundError):
            async with UnitOfWork(database, owner_id="bob") as uow:
                found = await undone(uow, call(uow, theirs))
                assert not is_nothing(found) or verb == "personas.add_module", verb


def test_every_verb_is_tried() -> None:
    tried = {verb.split(" ")[0] for verb in VERBS}
    for noun in NOUNS:
        kind = UnitOfWork.__annotations__[noun]
        names = {name for name in dir(kind) if not name.startswith("_") and isfunction(getattr(kind, name))}
        assert {f"{noun}.{name}" for name in names} <= tried
