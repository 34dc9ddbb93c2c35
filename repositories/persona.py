"""Personas: made and changed, with the modules that each of them uses."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import sqlalchemy as sa

from database.errors import NotFoundError
from models import Memory, Module, Persona, PersonaModule, new_id, utc_now
from repositories.base import Repository
from repositories.module import ModuleRepository
from repositories.ownership import table_of, visible, writable
from repositories.pagination import Page
from repositories.search.fuzzy_search import Similar, similar_rows
from repositories.upsert import insert_into
from repositories.validation import valid_id, valid_limit

PERSONAS = table_of(Persona)
MODULES = table_of(Module)
MEMORIES = table_of(Memory)
USES = table_of(PersonaModule)


class PersonaRepository(Repository[Persona]):
    """A shared persona (of no owner) is seen by every owner, and changed by none."""

    model = Persona

    async def create(
        self,
        *,
        name: str,
        template: str,
        owner_id: str | None = None,
        description: str | None = None,
        mode: str | None = None,
        loop_frequency: str | None = None,
        first_message: str | None = None,
        image_path: str | None = None,
        is_active: bool = True,
        extra_data: Mapping[str, object] | None = None,
        id: UUID | None = None,
    ) -> Persona:
        """A new persona; `template` is its system prompt. Raises DuplicateError."""
        return await self._create(
            id=id or new_id(),
            owner_id=owner_id,
            name=name,
            description=description,
            template=template,
            mode=mode,
            loop_frequency=loop_frequency,
            first_message=first_message,
            image_path=image_path,
            is_active=is_active,
            extra_data=extra_data or {},
        )

    async def page(
        self, *, is_active: bool | None = None, name: str | None = None, after: str | None = None, limit: int = 50
    ) -> Page[Persona]:
        """The newest first; `name` is the whole name."""
        return await self._page(("id",), *self._matching(is_active=is_active, name=name), after=after, limit=limit)

    async def similar(self, text: str, *, limit: int = 10) -> Sequence[Similar[Persona]]:
        """Personas whose name resembles the text, typos and all; the best first, ties by id. docs/search.md.

        Two statements. Raises ConfigurationError without the fuzzy index.
        """
        return await similar_rows(self.session, Persona, text, {}, limit)

    async def modules(self, persona_id: UUID) -> Sequence[Module]:
        """The modules that it uses, active or not, by priority; none for a persona that is not there."""
        return await ModuleRepository(self.session).of_persona(persona_id)

    async def add_module(self, persona_id: UUID, module_id: UUID) -> None:
        """Let the persona use the module; again changes nothing. One statement.

        Raises NotFoundError for either: the persona must be this owner's to change, the module one that it sees.
        """
        persona, module = valid_id(persona_id, "persona_id"), valid_id(module_id, "module_id")
        owner_id = self.session.owner_id
        connection = await self.session.core()
        now = sa.literal(utc_now(), USES.c.created_at.type)
        pair = (
            sa.select(PERSONAS.c.id, MODULES.c.id, now, now)
            .join_from(PERSONAS, MODULES, sa.true())
            .where(PERSONAS.c.id == persona, *writable(Persona, owner_id))
            .where(MODULES.c.id == module, *visible(Module, owner_id))
        )
        names = ["persona_id", "module_id", "created_at", "updated_at"]
        insert = insert_into(connection.dialect.name, USES).from_select(names, pair, include_defaults=False)
        # An update without effect, so that a row comes back whether or not it was there.
        upsert = insert.on_conflict_do_update(
            index_elements=["persona_id", "module_id"], set_={"module_id": insert.excluded.module_id}
        )
        if (await connection.execute(upsert.returning(USES.c.module_id))).first() is None:
            own = await self._count(PERSONAS.c.id == persona, *self._writable())
            raise NotFoundError("Module", module) if own else NotFoundError("Persona", persona)

    async def remove_module(self, persona_id: UUID, module_id: UUID) -> bool:
        """Whether the persona used the module until now."""
        statement = sa.delete(USES).where(
            USES.c.persona_id == valid_id(persona_id, "persona_id"),
            USES.c.module_id == valid_id(module_id, "module_id"),
            *writable(PersonaModule, self.session.owner_id),
        )
        connection = await self.session.core()
        return (await connection.execute(statement)).rowcount > 0

    async def delete_many(self, ids: Iterable[UUID]) -> int:
        """How many there were of these, at most 1000; their memories of no conversation go with them.

        Those would surface under every other persona. Three statements: the rows are locked first, so that no memory
        is added between the others.
        """
        keys = [valid_id(id, "ids") for id in ids]
        if not keys:
            return 0
        valid_limit(len(keys), "ids")
        connection = await self.session.core()
        found = sa.select(PERSONAS.c.id).where(PERSONAS.c.id.in_(keys), *self._writable()).order_by(PERSONAS.c.id)
        own = (await connection.execute(found.with_for_update())).scalars().all()
        if not own:
            return 0
        await connection.execute(
            sa.delete(MEMORIES).where(MEMORIES.c.persona_id.in_(own), MEMORIES.c.conversation_id.is_(None))
        )
        return await self._delete(PERSONAS.c.id.in_(own))
