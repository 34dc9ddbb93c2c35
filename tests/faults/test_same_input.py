"""Same input, same outcome: whatever a method is given, both databases answer it alike or refuse it alike.

The value comes back equal, or the same error of ours; never a driver's; what is refused has written nothing; the unit
and the pool go on.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pytest

from database import Database, Settings, StoreError
from models.values import vector_array
from repositories import UnitOfWork
from repositories.search.fuzzy_search import build_fuzzy_index
from tests.faults.inputs import (
    NEW,
    ROWS,
    Case,
    call,
    cases,
    cursors_of,
    places,
    store,
    store_space,
)
from tests.faults.outcomes import Outcome, Undo, ask_all, counts, outcome_of
from tests.support import PostgresCopies, SqliteCopies

pytestmark = pytest.mark.faults


class Both(NamedTuple):
    sqlite: Database
    postgresql: Database


@pytest.fixture(scope="module")
async def both(sqlite_copies: SqliteCopies, postgres_copies: PostgresCopies) -> AsyncIterator[Both]:
    """With one connection for writing each, so that one that is not given back stops the tests."""
    here, there = await sqlite_copies.migrated(), await postgres_copies.migrated()
    one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 60}
    urls = [Settings.model_validate({"database_url": url, **one}) for url in (here, there)]
    async with Database(urls[0]) as sqlite, Database(urls[1]) as postgresql:
        for database in (sqlite, postgresql):
            await build_fuzzy_index(database)
            async with UnitOfWork(database) as uow:
                await store_space(uow)
                await store(uow)
        yield Both(sqlite, postgresql)
    await sqlite_copies.drop(here)
    await postgres_copies.drop(there)


async def answers(both: Both, asked: list[Case], owner_id: str | None = None) -> list[tuple[Case, Outcome, Outcome]]:
    async def ask(database: Database) -> list[Outcome]:
        async with UnitOfWork(database, owner_id=owner_id) as uow:
            return await ask_all(uow, asked)

    sqlite, postgresql = await asyncio.gather(*map(ask, both))
    assert len(asked) == len(sqlite) == len(postgresql)
    return list(zip(asked, sqlite, postgresql, strict=True))


def differences(found: list[tuple[Case, Outcome, Outcome]]) -> list[str]:
    return [f"{case.name}: {here} | {there}" for case, here, there in found if here != there or here.raw or there.raw]


async def test_same_input_same_outcome(both: Both) -> None:
    found = await answers(both, list(cases()))
    assert differences(found) == []
    assert [f"{case.name}: {here}" for case, here, _ in found if not comes_back(case, here)] == []
    await leave_their_units(both, found)
    refused = sum(here.refused is not None for _, here, _ in found)
    print(f"same input: {len(found)} cases on two databases, {refused} refused; 0 differences, 0 raw errors")
    # An empty reflection, or arguments that are refused for another reason, must not pass.
    assert len(found) > 4_000
    assert 1_000 < refused < len(found) - 1_000


async def test_same_input_of_an_owner(both: Both) -> None:
    """Another's conversation, row by row absent: the conditions on the owner hear the same inputs."""
    found = await answers(both, [case for number, case in enumerate(cases()) if number % 10 == 0], owner_id="ada")
    assert differences(found) == []


async def test_cursors_of_every_page(both: Both) -> None:
    asked: list[Case] = []
    async with UnitOfWork(both.sqlite) as uow:
        with suppress(Undo):
            async with uow.nested():
                for noun, row in NEW.items():
                    if noun != "messages":
                        await call(uow, noun, "create_many", {"rows": [row]})
                for place in places():
                    if place.kind == "cursor":
                        page = await call(uow, place.noun, place.verb, {**place.put(None), "limit": 1})
                        assert page.next is not None, place
                        asked += [Case(place, label, value) for label, value in cursors_of(page.next).items()]
                raise Undo
    found = await answers(both, asked)
    assert differences(found) == []
    assert len(asked) > 14 * 10


async def leave_their_units(both: Both, found: list[tuple[Case, Outcome, Outcome]]) -> None:
    """One case of each refusal in a unit of its own, which the error leaves: the next unit has the one connection."""
    one_of_each = {here.refused.partition(":")[2] or here.refused: case for case, here, _ in found if here.refused}
    assert len(one_of_each) > 30
    for database in both:
        async with UnitOfWork(database) as uow:
            before = await counts(uow)
        for case in one_of_each.values():
            with pytest.raises(StoreError):
                await alone(database, case)
            async with UnitOfWork(database) as uow:
                assert await counts(uow) == before, case.name


async def alone(database: Database, case: Case) -> None:
    async with UnitOfWork(database) as uow:
        answer = case.call(uow)
        await (anext(answer) if isinstance(answer, AsyncIterator) else answer)


async def test_ten_megabytes(both: Both) -> None:
    text, talk = "ten words " * 1_000_000, ROWS["conversations"]
    calls: list[tuple[str, str, dict[str, object]]] = [
        ("messages", "append", {"conversation_id": talk, "role": "user", "content": text}),
        ("messages", "append", {"conversation_id": talk, "role": "user", "content": text[:1_000_000]}),
        ("messages", "page_of_words", {"text": text[:1_000_000]}),
        ("conversations", "update", {"id": talk, "extra_data": {"a": [text]}}),
        ("states", "set", {"conversation_id": talk, "key": "k", "value": {text[:100_000]: text[100_000:]}}),
    ]
    found: list[list[Outcome]] = []
    for database in both:
        async with UnitOfWork(database) as uow:
            with suppress(Undo):
                async with uow.nested():
                    found.append([await outcome_of(lambda one=one: call(uow, *one)) for one in calls])
                    raise Undo
    assert found[0] == found[1]
    assert [outcome.raw for outcome in found[0]] == [None] * len(calls)
    assert [outcome.refused is None for outcome in found[0]] == [False, True, True, True, True]


async def test_without_its_guard_a_difference_is_seen(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repositories.search.words.check_text", lambda value: value)
    found = await answers(both, [case for case in cases() if case.name.startswith("messages.page_of_words(text=NUL")])
    assert found
    assert len(differences(found)) == len(found)


def comes_back(case: Case, outcome: Outcome) -> bool:
    """Whether a value that was taken is what is read: equal, where its type is the column's own."""
    answer = outcome.result
    if outcome.refused or not hasattr(answer, case.place.field):
        return True
    if "." in case.place.path or case.place.verb in ("page", "get", "similar", "search", "recall"):
        return True
    given, read = case.value, getattr(answer, case.place.field)
    match given:
        case str() if isinstance(read, str):
            return given == read
        case datetime():
            # In its own zone an hour that comes twice equals nothing in another zone.
            return isinstance(read, datetime) and read.tzinfo is UTC and read == given.astimezone(UTC)
        case bool() | int() if isinstance(read, int) and case.place.verb != "compare_and_set":
            return given == read
        case float() if isinstance(read, float):
            return math.isclose(given, read, rel_tol=0) or given == read
        case dict() | list() if case.place.kind == "json":
            return bool(given == read)
        case np.ndarray() | list() if case.place.kind == "vector":
            return bool(vector_array(given).tolist() == read)
    return True
