"""Modules: content or script, the five stages of a reply, and patterns that may be as bad as they like."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from database import Database, Session
from database.errors import InvalidInputError, NotFoundError
from models import ExecutionContext, Module, ModuleType
from repositories.module import ModuleRepository
from repositories.ownership import table_of
from tests.factories import ModuleFactory, PersonaFactory, PersonaModuleFactory
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

CATASTROPHIC = "(?:a|a)*$"
"""Would take days to find that it does not match `LONG`."""

LONG = "a" * 60 + "!"


@pytest.fixture
def modules(session: Session) -> ModuleRepository:
    return ModuleRepository(session)


async def used_by_a_persona(*modules: Module) -> UUID:
    persona = await PersonaFactory.create()
    for module in modules:
        await PersonaModuleFactory.create(persona_id=persona.id, module_id=module.id)
    return persona.id


async def test_create_stores_every_column(modules: ModuleRepository, statements: Counted) -> None:
    with statements() as seen:
        made = await modules.create(
            name="Weather",
            script="print('rain')",
            owner_id="ada",
            description="Looks outside.",
            type="advanced",
            trigger_pattern=r"\bweather\b",
            execution_context="post_response",
            requires_ai_inference=True,
            stage_priority=-5,
            is_active=False,
        )
    assert len(seen) == 1
    stored = await modules.get(made.id)
    assert (stored.name, stored.script, stored.content) == ("Weather", "print('rain')", None)
    assert (stored.owner_id, stored.description) == ("ada", "Looks outside.")
    assert (stored.type, stored.execution_context) == (ModuleType.ADVANCED, ExecutionContext.POST_RESPONSE)
    assert (stored.requires_ai_inference, stored.stage_priority, stored.is_active) == (True, -5, False)
    assert stored.trigger_pattern == r"\bweather\b"


async def test_a_module_has_content_or_a_script(modules: ModuleRepository) -> None:
    with pytest.raises(InvalidInputError):
        await modules.create(name="Empty")
    with pytest.raises(InvalidInputError):
        await modules.create_many([{"name": "Full", "content": "c"}, {"name": "Empty"}])
    both = await modules.create(name="Both", content="c", script="s")
    script_only = await modules.update(both.id, content=None)
    assert script_only.content is None
    for changes in ({"script": None}, {"script": None, "content": None}):
        with pytest.raises(InvalidInputError) as refused:
            await modules.update(both.id, **changes)
        assert refused.value.field == "content"
    assert (await modules.get(both.id)).script == "s"
    content_only = await modules.update(both.id, script=None, content="again")
    assert (content_only.content, content_only.script) == ("again", None)
    with pytest.raises(NotFoundError):
        await modules.update(uuid4(), content=None)


async def test_update_is_one_statement(modules: ModuleRepository, statements: Counted) -> None:
    module = await ModuleFactory.create(script="s")
    with statements() as seen:
        await modules.update(module.id, content=None, name="Script")
    assert len(seen) == 1


@pytest.mark.parametrize(
    "field, value",
    [
        ("trigger_pattern", "(unclosed"),
        ("trigger_pattern", "x" * 501),
        ("type", "complex"),
        ("execution_context", "IMMEDIATE"),
        ("stage_priority", 2**63),
        ("content", "a\ud800"),
    ],
)
async def test_bad_values_are_refused_by_name(modules: ModuleRepository, field: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await modules.create(**{"name": "M", "content": "c", field: value})  # type: ignore[arg-type]  # bad on purpose
    assert refused.value.field == field


async def test_page_is_newest_first(modules: ModuleRepository, statements: Counted) -> None:
    made = [await ModuleFactory.create(is_active=n != 1) for n in range(3)]
    with statements() as seen:
        page = await modules.page(limit=2)
    assert len(seen) == 1
    assert [row.id for row in page] == [made[2].id, made[1].id]
    assert [row.id for row in await modules.page(limit=2, after=page.next)] == [made[0].id]
    assert [row.id for row in await modules.page(is_active=False)] == [made[1].id]


async def test_the_five_stages(modules: ModuleRepository, statements: Counted) -> None:
    made = {
        (context, inference): [
            await ModuleFactory.create(
                execution_context=context, requires_ai_inference=inference, stage_priority=priority
            )
            for priority in (200, 100, 100)
        ]
        for context in ExecutionContext
        for inference in (False, True)
    }
    inactive = await ModuleFactory.create(is_active=False)
    persona_id = await used_by_a_persona(*[module for group in made.values() for module in group], inactive)
    await used_by_a_persona(await ModuleFactory.create())
    with statements() as seen:
        stages = await modules.stages(persona_id)
    assert len(seen) == 1

    def in_order(context: ExecutionContext, inference: bool) -> list[UUID]:
        late, first, second = made[context, inference]
        return [first.id, second.id, late.id]

    immediate, post_response = ExecutionContext.IMMEDIATE, ExecutionContext.POST_RESPONSE
    assert [[module.id for module in stage] for stage in stages] == [
        in_order(immediate, False),
        in_order(immediate, True),
        [],
        in_order(post_response, False),
        in_order(post_response, True),
    ]
    assert [module.id for module in stages.immediate_with_inference] == in_order(immediate, True)


async def test_a_persona_that_is_not_there_has_no_stages(modules: ModuleRepository) -> None:
    assert [list(stage) for stage in await modules.stages(uuid4())] == [[], [], [], [], []]


async def test_triggered_by_text(modules: ModuleRepository, statements: Counted) -> None:
    weather = await ModuleFactory.create(trigger_pattern=r"(?i)\bweather\b", stage_priority=100)
    rain = await ModuleFactory.create(trigger_pattern="rain|snow", stage_priority=1)
    await ModuleFactory.create(trigger_pattern="rain", is_active=False)
    await ModuleFactory.create()
    persona_id = await used_by_a_persona(weather)
    with statements() as seen:
        found = await modules.triggered_by("Weather: rain.")
    assert len(seen) == 1
    assert [module.id for module in found] == [rain.id, weather.id]
    assert [module.id for module in await modules.triggered_by("snow")] == [rain.id]
    assert await modules.triggered_by("whether") == []
    assert [module.id for module in await modules.triggered_by("weather, rain", persona_id=persona_id)] == [weather.id]


async def test_a_catastrophic_pattern_stops_nobody(modules: ModuleRepository, caplog: pytest.LogCaptureFixture) -> None:
    bad = await ModuleFactory.create(trigger_pattern=CATASTROPHIC, stage_priority=1)
    good = await ModuleFactory.create(trigger_pattern="a!")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticker = asyncio.create_task(tick())
    with caplog.at_level(logging.WARNING, logger="repositories.module"):
        found = await modules.triggered_by(LONG, timeout=0.2)
    during, _ = ticks, ticker.cancel()
    assert [module.id for module in found] == [good.id]
    assert during >= 5
    assert [record.getMessage() for record in caplog.records] == [f"trigger_pattern_timed_out module_id={bad.id}"]


async def test_a_pattern_that_no_longer_compiles_is_passed_over(
    modules: ModuleRepository, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = await ModuleFactory.create(trigger_pattern="a"), await ModuleFactory.create(trigger_pattern="a")
    table = table_of(Module)
    await (await session.core()).execute(
        sa.update(table).where(table.c.id == bad.id).values(trigger_pattern="(unclosed")
    )
    with caplog.at_level(logging.WARNING, logger="repositories.module"):
        found = await modules.triggered_by("a SECRET text")
    assert [module.id for module in found] == [good.id]
    assert [record.getMessage() for record in caplog.records] == [f"trigger_pattern_invalid module_id={bad.id}"]


@pytest.mark.parametrize("arguments, field", [({"text": "a\0b"}, "text"), ({"text": "a", "timeout": 0}, "timeout")])
async def test_triggered_by_refuses_bad_input(
    modules: ModuleRepository, arguments: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await modules.triggered_by(**arguments)  # type: ignore[arg-type]  # bad on purpose
    assert refused.value.field == field


async def test_shared_modules_are_seen_and_not_changed(session: Session, database: Database) -> None:
    shared = await ModuleFactory.create(trigger_pattern="tea", script="s")
    await ModuleFactory.create(trigger_pattern="tea", owner_id="bob")
    async with database.transaction(owner_id="ada") as adas:
        modules = ModuleRepository(adas)
        assert [module.id for module in await modules.triggered_by("tea")] == [shared.id]
        for changes in ({"name": "Mine"}, {"content": None}):
            with pytest.raises(NotFoundError):
                await modules.update(shared.id, **changes)
        assert not await modules.delete(shared.id)
    stored = await ModuleRepository(session).get(shared.id)
    assert (stored.name, stored.content) == (shared.name, shared.content)
