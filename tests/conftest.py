"""Fixtures: a behaviour test runs on SQLite and on PostgreSQL 18, and leaves nothing behind."""

import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from pydantic import AliasChoices

from database import Database, Session, Settings
from scripts.postgres import EmbeddedPostgres
from tests.factories import storing_in
from tests.support import (
    LEAST_SERVER_VERSION,
    Copies,
    PostgresCopies,
    SqliteCopies,
    Statements,
    count_statements,
    migrated_copy,
)

if TYPE_CHECKING:
    from repositories import UnitOfWork

settings.register_profile(
    "default",
    deadline=None,
    max_examples=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=1_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# The imported libraries, and then the tests, are too large a heap to be searched for garbage at every turn.
gc.freeze()
gc.set_threshold(50_000, 20, 50)


def pytest_collection_finish() -> None:
    gc.freeze()


def pytest_configure() -> None:
    """What the machine's environment says about a database must not steer the tests."""
    for name, field in Settings.model_fields.items():
        aliases = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else [name]
        for alias in aliases:
            os.environ.pop(str(alias), None)
            os.environ.pop(str(alias).upper(), None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server for this session: TEST_DATABASE_URL, or PostgreSQL 18 from the wheel."""
    if "TEST_DATABASE_URL" in os.environ:
        yield os.environ["TEST_DATABASE_URL"]
        return
    with EmbeddedPostgres() as server:
        yield server.url()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of database that the test runs on; pytest runs all tests of one kind before the other's."""
    return str(request.param)


@pytest.fixture(scope="session")
async def postgres_copies(postgres_server: str) -> AsyncIterator[PostgresCopies]:
    copies = PostgresCopies(postgres_server)
    if "TEST_DATABASE_URL" not in os.environ:
        # What is tested is what scripts/postgres.py promises.
        version = (await copies.run("SHOW server_version_num")).scalar_one()
        assert int(version) >= LEAST_SERVER_VERSION
    yield copies
    await copies.close()


@pytest.fixture(scope="session")
def sqlite_copies(tmp_path_factory: pytest.TempPathFactory) -> SqliteCopies:
    return SqliteCopies(tmp_path_factory.mktemp("databases"))


@pytest.fixture(scope="session")
def copies(backend: str, request: pytest.FixtureRequest) -> Copies:
    """Makes databases of the test's kind: `await copies.empty()`, `await copies.migrated()`."""
    found: Copies = request.getfixturevalue("sqlite_copies" if backend == "sqlite" else "postgres_copies")
    return found


@pytest.fixture(scope="session")
async def database(copies: Copies) -> AsyncIterator[Database]:
    """One migrated database for all tests that undo what they do; see `session`."""
    async with migrated_copy(copies) as database:
        yield database


@pytest.fixture(scope="module")
async def store(copies: Copies) -> AsyncIterator[Database]:
    """A migrated database for all tests of a file, where commits are real: each makes rows of its own and looks at
    no others."""
    async with migrated_copy(copies) as database:
        yield database


@pytest.fixture
async def emptied(store: Database) -> AsyncIterator[Database]:
    """The same, without rows before and after the test: where nothing but rows is made, and no setting changed."""
    yield store
    for table in ("conversations", "personas", "runs"):
        await store.execute(f"DELETE FROM {table}")


@pytest.fixture
async def session(database: Database) -> AsyncIterator[Session]:
    """A unit in a sandbox: whatever the test does in `database` is undone afterwards. The factories store here."""
    async with database.sandbox() as session:
        with storing_in(session):
            yield session


@pytest.fixture
async def uow(database: Database, session: Session) -> "AsyncIterator[UnitOfWork]":
    """A unit of work without an owner in the same sandbox; the factories store in its session."""
    from repositories import UnitOfWork

    async with UnitOfWork(database) as uow:
        with storing_in(uow.session):
            yield uow


@pytest.fixture
async def fresh_url(copies: Copies) -> AsyncIterator[str]:
    """A migrated database of the test's own, not connected: for several processes, or settings of its own."""
    url = await copies.migrated()
    yield url
    await copies.drop(url)


@pytest.fixture
async def fresh_database(fresh_url: str) -> AsyncIterator[Database]:
    """A connected database of the test's own, where commits are real: for concurrency, hooks and failures."""
    async with Database(fresh_url) as database:
        yield database


@pytest.fixture
async def empty_url(copies: Copies) -> AsyncIterator[str]:
    """A database without a table."""
    url = await copies.empty()
    yield url
    await copies.drop(url)


@pytest.fixture
def statements() -> Callable[[], AbstractContextManager[Statements]]:
    """`with statements() as seen:` collects what reaches the driver; `len(seen)` is the number of statements."""
    return count_statements
