"""The `seed` command: two personas with their modules, under ids that are the same everywhere."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape
from rich.table import Table

from database import Database
from repositories import UnitOfWork
from scripts.console import AsJson, DatabaseUrl, emit, run
from scripts.import_records import stable_uuid
from scripts.sample import Sample, SamplePersona, load_sample
from scripts.tables import table


@dataclass(frozen=True, slots=True)
class SeededModule:
    id: UUID
    name: str
    new: bool


@dataclass(frozen=True, slots=True)
class SeededPersona:
    id: UUID
    name: str
    description: str
    new: bool
    modules: tuple[SeededModule, ...]


@dataclass(frozen=True, slots=True)
class Seeded:
    owner_id: str
    personas: tuple[SeededPersona, ...]


def command(
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="Whose they are; default: the sample's.")] = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Store the two sample personas with their modules.

    Their ids are the same in every database, for one owner. What is there already is left as it is.
    """
    seeded = run(_seed(database_url, owner))
    emit(seeded if as_json else as_table(seeded), as_json=as_json)


async def _seed(database_url: str | None, owner_id: str | None) -> Seeded:
    async with Database(database_url) as database:
        return await seed(database, owner_id=owner_id)


async def seed(database: Database, *, owner_id: str | None = None) -> Seeded:
    """Make what is missing, in one unit. Nothing that somebody has changed since is written over."""
    sample = load_sample()
    owner_id = owner_id or sample.owner_id
    async with UnitOfWork(database, owner_id=owner_id) as uow:
        modules = await _modules(uow, sample, owner_id)
        personas = [await _persona(uow, persona, owner_id, modules) for persona in sample.personas]
    return Seeded(owner_id, tuple(personas))


def as_table(seeded: Seeded) -> Table:
    lines = table("persona", "what for", "modules", "", title=f"personas of {escape(seeded.owner_id)}")
    for persona in seeded.personas:
        modules = ", ".join(module.name for module in persona.modules)
        lines.add_row(persona.name, persona.description, modules, "new" if persona.new else "was there")
    return lines


async def _modules(uow: UnitOfWork, sample: Sample, owner_id: str) -> dict[str, SeededModule]:
    ids = {module.name: stable_uuid("module", owner_id, module.name) for module in sample.modules}
    known = {row.id for row in await uow.modules.get_many(ids.values())}
    missing: list[dict[str, Any]] = [
        {"id": ids[module.name]} | asdict(module) for module in sample.modules if ids[module.name] not in known
    ]
    await uow.modules.create_many(missing)
    return {name: SeededModule(id, name, id not in known) for name, id in ids.items()}


async def _persona(
    uow: UnitOfWork, persona: SamplePersona, owner_id: str, modules: dict[str, SeededModule]
) -> SeededPersona:
    id = stable_uuid("persona", owner_id, persona.name)
    new = await uow.personas.get_or_none(id) is None
    if new:
        await uow.personas.create(
            id=id,
            name=persona.name,
            description=persona.description,
            template=persona.template,
            mode=persona.mode,
            first_message=persona.first_message,
        )
    uses = tuple(modules[module] for module in persona.modules)
    for module in uses:
        # A module that was taken from a persona stays away from it.
        if new or module.new:
            await uow.personas.add_module(id, module.id)
    return SeededPersona(id, persona.name, persona.description, new, uses)
