"""One owner never sees or changes another's rows: every public method, with another's id wherever it takes one."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from database import Database, Settings
from database.engine import is_broken
from models import metadata
from repositories import UnitOfWork
from repositories.search.fuzzy_search import build_fuzzy_index
from tests.faults.inputs import OPEN_CALL, ROWS, SPACE, Place, call, moved, needed, places, store, store_space, verbs
from tests.faults.outcomes import Outcome, Undo, outcome_of
from tests.support import Copies

pytestmark = pytest.mark.faults

HERS, NOBODYS = 0x1000, 0x2000
"""Bob's rows have the ids of `ROWS`, Ada's stand this far behind, and still further nothing is."""

SECRET = "b0b5secret"
HIS = {str(id) for id in (*ROWS.values(), OPEN_CALL)} - {str(SPACE.id)}

NOUNS = {
    "persona_id": "personas",
    "module_id": "modules",
    "conversation_id": "conversations",
    "first_message_id": "messages",
    "message_id": "messages",
    "memory_id": "memories",
    "run_id": "runs",
    "step_id": "steps",
}

MADE = {"add_step": "steps", "add_artifact": "artifacts", "add_llm_call": "llm_calls"}
"""Verbs that make another noun's row."""

NEW_ID = {"create", "create_many", "append", "append_many", "append_turn", "remember", "remember_many", "put_many"}
NEW_ID |= {"save", *MADE}
"""Verbs whose `id` is that of a new row: of one that is there, whoever's, they say DuplicateError."""


@pytest.fixture(scope="module")
async def database(copies: Copies) -> AsyncIterator[Database]:
    """On one connection: what an owner left behind on it the next one would meet."""
    url = await copies.migrated()
    settings = Settings.model_validate({"database_url": url, "pool_size": 1, "max_overflow": 0, "pool_timeout": 60})
    async with Database(settings) as database:
        await build_fuzzy_index(database)
        async with UnitOfWork(database) as uow:
            await store_space(uow)
        async with UnitOfWork(database, owner_id="bob") as uow:
            await store(uow, word=SECRET)
        async with UnitOfWork(database, owner_id="ada") as uow:
            await store(uow, HERS)
        yield database
    await copies.drop(url)


async def rows_of(uow: UnitOfWork) -> dict[str, set[str]]:
    connection = await uow.session.core()
    return {
        table.name: {repr(tuple(row)) for row in await connection.execute(sa.select(table))}
        for table in metadata.sorted_tables
    }


async def his_rows(uow: UnitOfWork) -> dict[str, set[str]]:
    """Bob's, by what stands in them: his ids, in every table."""
    rows = await rows_of(uow)
    return {name: {row for row in there if any(id in row for id in HIS)} for name, there in rows.items()}


async def as_ada(
    database: Database, noun: str, verb: str, arguments: dict[str, object], his: dict[str, set[str]] | None = None
) -> Outcome:
    """What she gets; nothing of it is kept, and Bob's rows are looked at while it would be."""
    found = Outcome()
    async with UnitOfWork(database, owner_id="ada") as uow:
        with suppress(Undo):
            async with uow.nested():
                found = await outcome_of(lambda: call(uow, noun, verb, arguments))
                if his is not None and not is_broken(await uow.session.core()):
                    assert await his_rows(uow) == his, f"{noun}.{verb} changed another's rows"
                raise Undo
    assert found.raw is None, f"{noun}.{verb}: {found}"
    return found


def without_ids(outcome: Outcome, shift: int) -> str:
    """As text, in which a key reads the same whether it was Bob's or nobody's."""
    text = outcome.refused or repr(outcome.answer)
    for id in (*ROWS.values(), OPEN_CALL):
        text = text.replace(str(moved(id, shift)), f"key {id}") if id != SPACE.id else text
    return text


def shows_him(outcome: Outcome) -> bool:
    text = repr(outcome.answer)
    return SECRET in text or any(id in text for id in HIS)


async def test_every_method_takes_anothers_ids_for_nobodys(database: Database) -> None:
    async with UnitOfWork(database) as uow:
        his = await his_rows(uow)
    assert sum(map(len, his.values())) >= len(ROWS) + 4
    asked = 0
    for noun, verb, method in verbs():
        arguments = needed(noun, verb, method)
        theirs = await as_ada(database, noun, verb, arguments, his)
        async with UnitOfWork(database, owner_id="bob") as uow:
            # On the same connection, between two of hers: he sees his own.
            assert await uow.conversations.count() == 1
        nobodys = await as_ada(database, noun, verb, moved(arguments, NOBODYS))
        assert not shows_him(theirs), f"{noun}.{verb}"
        if noun != "embedding_spaces":
            assert without_ids(theirs, 0) == without_ids(nobodys, NOBODYS), f"{noun}.{verb}"
        asked += 1
    print(f"owner scope: {asked} methods with another's ids")
    assert asked > 150
    async with UnitOfWork(database) as uow:
        assert await his_rows(uow) == his


async def test_every_place_of_an_id_takes_anothers_for_nobodys(database: Database) -> None:
    """All else is her own: new rows that refer to his, filters by his, his among hers."""
    async with UnitOfWork(database) as uow:
        his = await his_rows(uow)
    methods = {(noun, verb): method for noun, verb, method in verbs()}
    asked = 0
    for place in places():
        row = _row_of(place)
        if row is None:
            continue
        hers = moved(needed(place.noun, place.verb, methods[place.noun, place.verb]), HERS)
        theirs = await as_ada(database, place.noun, place.verb, _put(place, hers, row), his)
        nobodys = await as_ada(database, place.noun, place.verb, _put(place, hers, moved(row, NOBODYS)))
        name = f"{place.noun}.{place.verb}({place.path})"
        assert not shows_him(theirs), name
        asked += 1
        if place.field == "id" and place.verb in NEW_ID:
            assert theirs.refused == "DuplicateError", f"{name}: {theirs}"
        else:
            assert without_ids(theirs, 0) == without_ids(nobodys, NOBODYS), name
    print(f"owner scope: {asked} places with another's id")
    assert asked > 150


async def test_without_its_guard_anothers_row_is_seen(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repositories.read.visible", lambda model, owner_id: [])
    assert shows_him(await as_ada(database, "conversations", "get_many", {"ids": [ROWS["conversations"]]}))


def _row_of(place: Place) -> UUID | None:
    """Bob's row that a caller could name there."""
    if place.kind not in ("id", "ids") or place.noun == "embedding_spaces":
        return None
    noun = place.noun if place.field in ("id", "ids") else NOUNS.get(place.field)
    noun = MADE.get(place.verb, noun) if place.field == "id" else noun
    return None if noun is None else ROWS[noun]


def _put(place: Place, hers: dict[str, object], row: UUID) -> dict[str, object]:
    """Her arguments with that one id in its place."""
    given = place.put([row] if place.kind == "ids" else row)
    top = place.path.partition(".")[0]
    if top in hers and place.path != top:
        return {**hers, top: moved_but(given[top], row)}
    return {**hers, top: given[top]}


def moved_but(value: Any, row: UUID) -> Any:
    """Hers, but for the one id."""
    if isinstance(value, dict):
        return {name: moved_but(item, row) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(moved_but(item, row) for item in value)
    return value if value == row else moved(value, HERS)
