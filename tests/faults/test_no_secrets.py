"""What callers give stays out of logs, errors and reprs: a needle wherever something is taken, echo on and off."""

import traceback
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from database import Database, Session, Settings
from database.translation import translate
from repositories import UnitOfWork
from repositories.search.fuzzy_search import build_fuzzy_index
from tests.database.test_secrets import Collected, collecting
from tests.faults.inputs import Case, cursor, places, store, store_space
from tests.faults.outcomes import Outcome, ask_all
from tests.support import Copies

pytestmark = pytest.mark.faults

# No line that a traceback quotes holds them.
SECRET = "".join(["n33d1e", "f0und"])
NUMBER = 54_321 * 10**7 + 1_234_567
FRACTION = 54_321.0625
NEEDLES = (SECRET, str(NUMBER), str(FRACTION))

HIDDEN: dict[str, list[object]] = {
    "text": [SECRET, SECRET + "\0", SECRET + "\ud800", SECRET * 100_000, NUMBER],
    "query": [SECRET, f"{SECRET}\0", f'"{SECRET}', NUMBER],
    "json": [{SECRET: [SECRET, NUMBER]}, {SECRET: float("nan")}, {SECRET: "\0"}, {SECRET: {1: NUMBER}}, {SECRET}],
    "vector": [[FRACTION, 1.0, 1.0], [FRACTION], [FRACTION, float("nan"), 1.0], [SECRET, 1.0, 1.0]],
    "time": [SECRET, datetime(2026, 1, 1, microsecond=543_217), datetime(2026, 1, 1, microsecond=543_217, tzinfo=UTC)],
    "integer": [NUMBER, -NUMBER, NUMBER * 10**40, SECRET],
    "number": [FRACTION, float(-NUMBER), SECRET],
    "amount": [Decimal(NUMBER) / 10**11, Decimal(NUMBER), SECRET],
    "boolean": [SECRET],
    "id": [SECRET, SECRET.encode()],
    "ids": [[SECRET]],
    "word": [SECRET],
    "words": [[SECRET]],
    "object": [SECRET],
    "cursor": [SECRET, cursor(SECRET, NUMBER)],
    "nothing": [],
}

SHOWS_VALUES = {("states", "mapping"), ("runs", "stats"), ("runs", "stats_of")}
"""They answer with plain values."""


def needles_in(*texts: object) -> list[str]:
    return [needle for text in texts for needle in NEEDLES if needle in str(text)]


@pytest.fixture
def log() -> Iterator[Collected]:
    with collecting() as collected:
        yield collected


@pytest.fixture(params=["quiet", "echo"])
async def database(copies: Copies, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    url = await copies.migrated()
    echo = request.param == "echo"
    settings = Settings.model_validate({"database_url": url, "echo": echo, "slow_query_ms": 0.000_001})
    async with Database(settings) as database:
        await build_fuzzy_index(database)
        async with UnitOfWork(database) as uow:
            await store_space(uow)
            await store(uow, word=SECRET)
        yield database
    await copies.drop(url)


async def test_nothing_that_is_given_is_told(database: Database, log: Collected) -> None:
    asked = [Case(place, str(n), value) for place in places() for n, value in enumerate(HIDDEN[place.kind])]
    if database.settings.echo:
        # Every line is looked at: a part of them is enough, the rest was asked in quiet.
        asked = asked[::4]
    async with UnitOfWork(database) as uow:
        outcomes = await ask_all(uow, asked)
    told = [f"{case.name}: {found}" for case, found in zip(asked, outcomes, strict=True) if tells(case, found)]
    assert told == []
    assert [line[:500] for line in log.lines if needles_in(line)] == []
    assert any("slow_query" in line for line in log.lines)
    refused = sum(found.error is not None for found in outcomes)
    print(f"no secrets: {len(asked)} cases, {refused} errors, {len(log.lines)} log lines; 0 needles")
    assert min(refused, len(asked) - refused) > 50


def tells(case: Case, found: Outcome) -> bool:
    if found.error is not None:
        return bool(needles_in(*traceback.format_exception(found.error), repr(found.error), found.error.args))
    if (case.place.noun, case.place.verb) in SHOWS_VALUES:
        return False
    return bool(needles_in(repr(found.result), found.result))


async def test_nothing_is_told_by_a_unit_that_is_run_again(database: Database, log: Collected) -> None:
    """The library that waits between attempts logs the error, and what it was called with."""
    attempts: list[int] = []

    async def work(session: Session) -> str:
        attempts.append(1)
        if len(attempts) < 3:
            lost = translate(ConnectionResetError(SECRET))
            assert lost is not None
            raise lost from ConnectionResetError(SECRET)
        return SECRET

    assert await database.run(work) == SECRET
    assert len(attempts) == 3
    assert any("stamina" in line or "retry" in line for line in log.lines)
    assert [line for line in log.lines if needles_in(line)] == []


@pytest.mark.parametrize("text", [SECRET, {"a": NUMBER}, [FRACTION]])
def test_the_needles_would_be_found(text: object) -> None:
    assert needles_in(text)
