"""Seeding: the same ids everywhere, and nothing that somebody has changed is written over."""

from database import Database
from repositories import UnitOfWork
from scripts.sample import load_sample
from scripts.seed import seed
from tests.scripts.conftest import Command


async def test_it_stores_the_personas_with_their_modules(fresh_url: str, command: Command) -> None:
    ran = await command("seed", "--database-url", fresh_url, "--json")

    sample = load_sample()
    assert ran.code == 0
    assert ran.data["owner_id"] == sample.owner_id
    assert [persona["new"] for persona in ran.data["personas"]] == [True, True]
    async with Database(fresh_url) as database, UnitOfWork(database, owner_id=sample.owner_id) as uow:
        for told, given in zip(ran.data["personas"], sample.personas, strict=True):
            persona = await uow.personas.get(told["id"])
            assert (persona.name, persona.template, persona.owner_id) == (given.name, given.template, sample.owner_id)
            modules = await uow.personas.modules(persona.id)
            assert {module.name for module in modules} == set(given.modules)
            stages = await uow.modules.stages(persona.id)
            assert sum(map(len, stages)) == len([m for m in modules if m.execution_context != "on_demand"]) > 0


async def test_again_it_stores_nothing_and_changes_nothing(fresh_database: Database) -> None:
    first = await seed(fresh_database)
    odile, brandt = first.personas
    async with UnitOfWork(fresh_database) as uow:
        await uow.personas.update(odile.id, name="Odile the second")
        await uow.modules.update(odile.modules[0].id, is_active=False)
        await uow.personas.remove_module(brandt.id, brandt.modules[0].id)
        before = [await uow.personas.count(), await uow.modules.count()]

    again = await seed(fresh_database)

    assert [persona.id for persona in again.personas] == [odile.id, brandt.id]
    assert not any(persona.new for persona in again.personas)
    assert not any(module.new for persona in again.personas for module in persona.modules)
    async with UnitOfWork(fresh_database) as uow:
        assert [await uow.personas.count(), await uow.modules.count()] == before
        assert (await uow.personas.get(odile.id)).name == "Odile the second"
        assert not (await uow.modules.get(odile.modules[0].id)).is_active
        assert brandt.modules[0].id not in {module.id for module in await uow.personas.modules(brandt.id)}


async def test_what_was_deleted_comes_back_under_its_id(fresh_database: Database) -> None:
    first = await seed(fresh_database)
    persona, module = first.personas[0], first.personas[1].modules[0]
    async with UnitOfWork(fresh_database) as uow:
        await uow.personas.delete(persona.id)
        await uow.modules.delete(module.id)

    again = await seed(fresh_database)

    assert again.personas[0].new
    assert [made.new for made in again.personas[1].modules] == [True, False, False, False, False]
    async with UnitOfWork(fresh_database) as uow:
        for seeded in again.personas:
            used = {module.id for module in await uow.personas.modules(seeded.id)}
            assert used == {module.id for module in seeded.modules}


async def test_every_owner_has_their_own(fresh_database: Database) -> None:
    first = await seed(fresh_database, owner_id="ada")
    second = await seed(fresh_database, owner_id="bob")

    assert {persona.id for persona in first.personas}.isdisjoint(persona.id for persona in second.personas)
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        assert await uow.personas.count() == len(first.personas)
        assert await uow.personas.get_or_none(second.personas[0].id) is None


async def test_a_database_without_tables_is_a_sentence(empty_url: str, command: Command) -> None:
    ran = await command("seed", "--database-url", empty_url)

    assert (ran.code, ran.out) == (1, "")
    assert "a table is missing" in ran.err
