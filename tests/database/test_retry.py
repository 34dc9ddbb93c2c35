"""A unit of work is done again, whole, where that can help, and only there."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable

import pytest
import sqlalchemy as sa
import stamina

from database import Database, Session, Settings
from database.errors import (
    CommitUnknownError,
    ConflictError,
    ConnectionLostError,
    DuplicateError,
    InvalidInputError,
    LockTimeoutError,
    NotFoundError,
    PoolTimeoutError,
    SerializationError,
    StatementTimeoutError,
    StorageFullError,
    StoreError,
    UnavailableError,
)
from database.retry import DEADLINE, FIRST_WAIT, LONGEST_WAIT, RETRIES, is_transient
from repositories import UnitOfWork
from tests.support import on_postgresql, on_sqlite

TRANSIENT = (SerializationError("40001"), SerializationError("40P01"), LockTimeoutError("55P03"))


@pytest.fixture
async def notes(emptied: Database) -> AsyncIterator[Database]:
    table = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, value INTEGER NOT NULL DEFAULT 0)"
    await emptied.execute(table)
    yield emptied
    await emptied.execute("DELETE FROM notes")


class Failing:
    """Work that inserts a note, and fails the first times."""

    def __init__(self, error: BaseException, times: int = 1) -> None:
        self.error, self.times = error, times
        self.attempts, self.hooks = 0, 0

    async def __call__(self, session: Session) -> int:
        self.attempts += 1
        session.on_commit(self.hook)
        await (await session.core()).execute(sa.text(f"INSERT INTO notes (id) VALUES ({self.attempts})"))
        if self.attempts <= self.times:
            raise self.error
        return self.attempts

    def hook(self) -> None:
        self.hooks += 1


@pytest.mark.parametrize(
    ("error", "once", "twice"),
    [
        *((error, True, True) for error in (*TRANSIENT, ConnectionLostError())),
        (CommitUnknownError(), False, True),
        (PoolTimeoutError("53300"), True, True),
        *(
            (error, False, False)
            for error in (
                PoolTimeoutError(),
                StatementTimeoutError("57014"),
                StorageFullError(),
                UnavailableError("58030"),
                InvalidInputError("content", "is not text"),
                ConflictError(),
                DuplicateError(),
                NotFoundError("Message", 1),
                ValueError(),
                OSError(),
            )
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_done_again(error: Exception, once: bool, twice: bool) -> None:
    assert is_transient(error, idempotent=False) is once
    assert is_transient(error, idempotent=True) is twice


@pytest.mark.parametrize("error", TRANSIENT, ids=str)
async def test_it_is_done_again_whole(notes: Database, error: StoreError) -> None:
    work = Failing(error, times=2)
    assert await notes.run(work) == 3
    assert (work.attempts, work.hooks) == (3, 1)
    assert await notes.fetch_all("SELECT id FROM notes") == [{"id": 3}]


@pytest.mark.parametrize("error", [InvalidInputError("a", "b"), DuplicateError(), ZeroDivisionError()], ids=repr)
async def test_a_mistake_is_not_done_again(notes: Database, error: Exception) -> None:
    work = Failing(error)
    with pytest.raises(type(error)):
        await notes.run(work)
    assert (work.attempts, work.hooks) == (1, 0)
    assert await notes.fetch_value("SELECT count(*) FROM notes") == 0


async def test_a_statement_that_takes_too_long_is_not_done_again(fresh_url: str) -> None:
    settings = Settings.model_validate({"database_url": fresh_url, "statement_timeout_ms": 50})
    attempts = 0

    async def work(session: Session) -> None:
        nonlocal attempts
        attempts += 1
        raise StatementTimeoutError("57014")

    async with Database(settings) as database:
        with pytest.raises(StatementTimeoutError):
            await database.run(work)
    assert attempts == 1


class Breaking:
    """Work whose COMMIT has no answer, and that then fails otherwise."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self, session: Session) -> int:
        if not self.errors:
            return 1
        raise self.errors.pop(0)


async def test_what_may_have_been_kept_is_told_by_the_last_attempt(emptied: Database) -> None:
    lost = ConnectionLostError("08006")
    with pytest.raises(CommitUnknownError) as caught:
        await emptied.run(Breaking(CommitUnknownError("08007"), lost), retries=1, idempotent=True)
    assert (caught.value.code, caught.value.__cause__) == ("08007", lost)
    with pytest.raises(DuplicateError) as refused:
        await UnitOfWork(emptied).run(Breaking(CommitUnknownError(), DuplicateError()), idempotent=True)  # type: ignore[arg-type]  # it looks at no unit
    assert refused.value.__notes__ == [f"before that: {CommitUnknownError()}"]
    with pytest.raises(ConnectionLostError):
        await emptied.run(Breaking(lost), retries=0, idempotent=True)
    assert await emptied.run(Breaking(CommitUnknownError(), lost), retries=2, idempotent=True) == 1


@on_postgresql
async def test_a_lock_that_is_held_for_too_long_is_waited_for_again(fresh_url: str) -> None:
    settings = Settings.model_validate({"database_url": fresh_url, "lock_timeout_ms": 20})
    async with Database(settings) as database:
        async with UnitOfWork(database) as uow:
            persona = await uow.personas.create(name="Odile", template="x")

        async def rename(uow: UnitOfWork) -> None:
            await uow.personas.update(persona.id, name="Odette")

        async with UnitOfWork(database) as holder:
            await holder.personas.lock(persona.id)
            with pytest.raises(LockTimeoutError) as caught:
                await asyncio.create_task(UnitOfWork(database).run(rename, retries=0))
            assert caught.value.code == "55P03"
            renaming = asyncio.create_task(UnitOfWork(database).run(rename))
        await renaming
        assert await database.fetch_value("SELECT name FROM personas") == "Odette"


async def test_cancelled_it_is_not_done_again(notes: Database) -> None:
    work = Failing(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await notes.run(work)
    assert work.attempts == 1


def test_retries_last_as_long_as_the_deadline() -> None:
    waits = [min(FIRST_WAIT * 2**number, LONGEST_WAIT) for number in range(RETRIES)]
    assert DEADLINE - LONGEST_WAIT <= sum(waits) <= DEADLINE


async def test_retries_and_deadline_end_it(notes: Database) -> None:
    with stamina.set_testing(False):
        work = Failing(LockTimeoutError(), times=100)
        with pytest.raises(LockTimeoutError):
            await notes.run(work, retries=2)
        assert work.attempts == 3
        work = Failing(LockTimeoutError(), times=100)
        with pytest.raises(LockTimeoutError):
            await notes.run(work, retries=100, deadline=0.001)
        assert work.attempts == 1


@pytest.mark.parametrize(("name", "value"), [("retries", -1), ("deadline", 0.0), ("deadline", float("nan"))])
async def test_limits_are_checked(notes: Database, name: str, value: float) -> None:
    call: Callable[..., object] = notes.run
    with pytest.raises(InvalidInputError) as caught:
        await call(Failing(ValueError()), **{name: value})  # type: ignore[misc]  # a value for each of them in turn
    assert caught.value.field == name


async def test_a_unit_of_work_is_done_again_with_its_owner(emptied: Database) -> None:
    units: list[UnitOfWork] = []

    async def work(uow: UnitOfWork) -> str:
        units.append(uow)
        persona = await uow.personas.create(name=f"try {len(units)}", template="Be kind.")
        if len(units) == 1:
            raise SerializationError("40001")
        return persona.name

    ada = UnitOfWork(emptied, owner_id="ada")
    assert await ada.run(work) == "try 2"
    assert len(set(units)) == 2
    assert await emptied.fetch_all("SELECT name, owner_id FROM personas") == [{"name": "try 2", "owner_id": "ada"}]


async def test_who_waits_for_each_other_is_done_again(notes: Database, backend: str) -> None:
    """In opposite order: PostgreSQL ends one of each such pair, SQLite lets one writer in at a time."""
    await notes.execute("INSERT INTO notes (id) VALUES (1), (2)")
    hooks = 0

    def hook() -> None:
        nonlocal hooks
        hooks += 1

    async def transfer(first: int, second: int) -> None:
        async def work(session: Session) -> None:
            session.on_commit(hook)
            connection = await session.core()
            if backend == "postgresql":
                await connection.exec_driver_sql("SET LOCAL deadlock_timeout = '10ms'")
            for id in (first, second):
                await connection.exec_driver_sql(f"UPDATE notes SET value = value + 1 WHERE id = {id}")
                await asyncio.sleep(0)

        await notes.run(work, retries=50)

    await asyncio.gather(*(transfer(*pair) for pair in [(1, 2), (2, 1)] * 10))
    assert hooks == 20
    assert await notes.fetch_all("SELECT value FROM notes") == [{"value": 20}, {"value": 20}]


@on_postgresql
async def test_a_connection_that_breaks_before_commit(notes: Database) -> None:
    attempts = 0

    async def work(session: Session) -> None:
        nonlocal attempts
        attempts += 1
        connection = await session.core()
        await connection.exec_driver_sql("INSERT INTO notes (id) VALUES (1)")
        if attempts == 1:
            pid = (await connection.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
            assert await notes.fetch_value(f"SELECT pg_terminate_backend({pid}, 5000)")

    await notes.run(work)
    assert attempts == 2
    assert await notes.fetch_value("SELECT count(*) FROM notes") == 1


@on_sqlite
async def test_the_write_lock_of_another_process_is_waited_for(fresh_url: str) -> None:
    other = sqlite3.connect(fresh_url.removeprefix("sqlite:///"), isolation_level=None)
    settings = Settings.model_validate({"database_url": fresh_url, "sqlite_busy_timeout_ms": 1})
    async with Database(settings) as database:
        await database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockTimeoutError):
            await database.run(Failing(ValueError(), times=0), retries=0)
        asyncio.get_running_loop().call_later(0.1, other.execute, "ROLLBACK")
        assert await database.run(Failing(ValueError(), times=0)) > 1
    other.close()
