"""Databases that hold rows in every table, as copies of one that was filled once."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from database.url import parse_url
from tests.migrations.support import fill
from tests.support import PostgresCopies, SqliteCopies

MakeFilled = Callable[[], Awaitable[str]]


@pytest.fixture(scope="session")
async def new_filled_sqlite(sqlite_copies: SqliteCopies, tmp_path_factory: pytest.TempPathFactory) -> MakeFilled:
    template = Path(parse_url(await sqlite_copies.migrated()).database or "")
    await fill(f"sqlite:///{template}")
    folder = tmp_path_factory.mktemp("filled")

    async def make() -> str:
        copy = folder / f"{len(list(folder.iterdir()))}.db"
        shutil.copyfile(template, copy)
        return f"sqlite:///{copy}"

    return make


@pytest.fixture(scope="session")
async def new_filled_postgres(postgres_copies: PostgresCopies) -> AsyncIterator[MakeFilled]:
    url = await postgres_copies.migrated()
    await fill(url)
    template = parse_url(url)
    made: list[str] = []

    async def make() -> str:
        made.append(f"{template.database}_{len(made)}")
        await postgres_copies.run(f'CREATE DATABASE "{made[-1]}" TEMPLATE "{template.database}"')
        return template.set(database=made[-1]).render_as_string(hide_password=False)

    yield make
    await postgres_copies.run(*(f'DROP DATABASE "{name}" WITH (FORCE)' for name in made))
    await postgres_copies.drop(url)


@pytest.fixture
async def both_filled(new_filled_sqlite: MakeFilled, new_filled_postgres: MakeFilled) -> dict[str, str]:
    """A database of each kind with rows in every table, of the test's own, by its URL."""
    return {"sqlite": await new_filled_sqlite(), "postgresql": await new_filled_postgres()}


@pytest.fixture(scope="session")
def new_filled(backend: str, request: pytest.FixtureRequest) -> MakeFilled:
    found: MakeFilled = request.getfixturevalue("new_filled_sqlite" if backend == "sqlite" else "new_filled_postgres")
    return found


@pytest.fixture
async def filled_url(new_filled: MakeFilled) -> str:
    """A database of the test's kind with rows in every table, of the test's own."""
    return await new_filled()
