"""Modules: what a persona can do, in the stages of a reply, and which of them a text triggers."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import regex
from sqlmodel import col, select

from database.errors import InvalidInputError, StoreError
from models import ExecutionContext, Module, ModuleType, PersonaModule, new_id
from repositories.base import Condition, Repository
from repositories.ownership import table_of, visible
from repositories.pagination import Page
from repositories.validation import valid_id, valid_seconds, valid_text

logger = logging.getLogger(__name__)

MODULES = table_of(Module)
OTHERS = {
    "content": ("script", MODULES.c.script.is_not(None)),
    "script": ("content", MODULES.c.content.is_not(None)),
}
"""What must be there for one of them to be taken away."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The active modules of a persona by the stage of a reply in which they run, each stage by priority.

    Iterating gives the five stages in order; the third is the reply itself and has no modules.
    """

    immediate: Sequence[Module]
    immediate_with_inference: Sequence[Module]
    post_response: Sequence[Module]
    post_response_with_inference: Sequence[Module]

    def __iter__(self) -> Iterator[Sequence[Module]]:
        yield self.immediate
        yield self.immediate_with_inference
        yield ()
        yield self.post_response
        yield self.post_response_with_inference


class ModuleRepository(Repository[Module]):
    """A shared module (of no owner) is seen by every owner, and changed by none."""

    model = Module

    async def create(
        self,
        *,
        name: str,
        content: str | None = None,
        script: str | None = None,
        owner_id: str | None = None,
        description: str | None = None,
        type: ModuleType | str = ModuleType.SIMPLE,
        trigger_pattern: str | None = None,
        execution_context: ExecutionContext | str = ExecutionContext.IMMEDIATE,
        requires_ai_inference: bool = False,
        stage_priority: int = 100,
        is_active: bool = True,
        id: UUID | None = None,
    ) -> Module:
        """A new module with content, a script, or both; lower priorities run first. Raises DuplicateError."""
        return await self._create(
            id=id or new_id(),
            owner_id=owner_id,
            name=name,
            description=description,
            content=content,
            type=type,
            trigger_pattern=trigger_pattern,
            script=script,
            execution_context=execution_context,
            requires_ai_inference=requires_ai_inference,
            stage_priority=stage_priority,
            is_active=is_active,
        )

    async def page(self, *, is_active: bool | None = None, after: str | None = None, limit: int = 50) -> Page[Module]:
        """The newest first."""
        return await self._page(("id",), *self._matching(is_active=is_active), after=after, limit=limit)

    async def of_persona(self, persona_id: UUID) -> Sequence[Module]:
        """The modules that it uses, active or not, by priority; none for a persona that is not there."""
        return await self._ordered(self._used_by(persona_id))

    async def stages(self, persona_id: UUID) -> Stages:
        """The persona's active modules in the stages of a reply, in one statement; on-demand modules are in none.

        Every stage is empty for a persona that is not there.
        """
        modules = await self._ordered(self._used_by(persona_id), *self._matching(is_active=True))

        def stage(context: ExecutionContext, inference: bool) -> Sequence[Module]:
            return [
                module
                for module in modules
                if module.execution_context is context and module.requires_ai_inference is inference
            ]

        return Stages(
            immediate=stage(ExecutionContext.IMMEDIATE, False),
            immediate_with_inference=stage(ExecutionContext.IMMEDIATE, True),
            post_response=stage(ExecutionContext.POST_RESPONSE, False),
            post_response_with_inference=stage(ExecutionContext.POST_RESPONSE, True),
        )

    async def triggered_by(
        self, text: str, *, persona_id: UUID | None = None, timeout: float = 0.1
    ) -> Sequence[Module]:
        """The active modules, of one persona if it is named, whose trigger pattern is found in `text`, by priority.

        One statement. Patterns are searched in a thread, each for at most `timeout` seconds, so that a bad one holds up
        nobody; it counts as not triggered.
        """
        valid_text(text, "text")
        seconds = valid_seconds(timeout, "timeout")
        uses = [] if persona_id is None else [self._used_by(persona_id)]
        active = self._matching(is_active=True)
        modules = await self._ordered(*active, col(Module.trigger_pattern).is_not(None), *uses)
        if not modules:
            return []
        return await asyncio.to_thread(lambda: [module for module in modules if _triggers(module, text, seconds)])

    async def _ordered(self, *conditions: Condition) -> Sequence[Module]:
        rows = await self._select(*conditions)
        return sorted(rows, key=lambda module: (module.stage_priority, module.id))

    def _used_by(self, persona_id: UUID) -> Condition:
        owner_id = self.session.owner_id
        used = select(PersonaModule.module_id).where(
            col(PersonaModule.persona_id) == valid_id(persona_id, "persona_id"), *visible(PersonaModule, owner_id)
        )
        return col(Module.id).in_(used)

    def _check(self, values: Mapping[str, object]) -> None:
        if {"content", "script"} <= values.keys() and values["content"] is None and values["script"] is None:
            raise _nothing_left()

    def _guard(self, values: Mapping[str, object]) -> tuple[Condition, StoreError] | None:
        """Taking one of content and script away needs the other to be there."""
        for name, (other, is_there) in OTHERS.items():
            if name in values and values[name] is None and other not in values:
                return is_there, _nothing_left()
        return None


def _nothing_left() -> InvalidInputError:
    return InvalidInputError("content", "or script must be given")


def _triggers(module: Module, text: str, timeout: float) -> bool:
    assert module.trigger_pattern is not None
    try:
        # Concurrent: it lets go of the interpreter's lock, or the event loop would stand still although in a thread.
        return regex.search(module.trigger_pattern, text, timeout=timeout, concurrent=True) is not None
    except TimeoutError:
        logger.warning("trigger_pattern_timed_out module_id=%s", module.id)
    except regex.error:
        logger.warning("trigger_pattern_invalid module_id=%s", module.id)
    return False
