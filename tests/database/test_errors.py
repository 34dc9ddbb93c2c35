"""An error of a driver becomes one of ours, the same on both databases, and its cause is cleared of values."""

import asyncio
import inspect
import sqlite3
from types import ModuleType

import pytest
import sqlalchemy as sa

from database import Database, Settings, StoreError, errors
from database.errors import (
    CheckError,
    ConfigurationError,
    ConnectionLostError,
    DimensionError,
    DuplicateError,
    InvalidCursorError,
    InvalidInputError,
    LockTimeoutError,
    MissingReferenceError,
    NotFoundError,
    NotMigratedError,
    PoolTimeoutError,
    QueryError,
    ReadOnlyError,
    StatementTimeoutError,
    StorageFullError,
    UnavailableError,
)
from database.translation import translate
from tests.support import on_sqlite

TABLES = """
CREATE TABLE parents (id INTEGER CONSTRAINT pk_parents PRIMARY KEY, name TEXT NOT NULL,
    CONSTRAINT uq_parents_name UNIQUE (name), CONSTRAINT ck_parents_name_length CHECK (length(name) < 9));
CREATE TABLE children (id INTEGER PRIMARY KEY,
    parent_id INTEGER CONSTRAINT fk_children_parent_id_parents REFERENCES parents (id));
CREATE UNIQUE INDEX uq_children_expression ON children (coalesce(parent_id, 0));
INSERT INTO parents VALUES (1, 'one');
INSERT INTO children VALUES (1, 1)
"""

# Statement -> (error, constraint where both databases tell it).
CASES: list[tuple[str, type[StoreError], str | None]] = [
    ("INSERT INTO parents VALUES (1, 'two')", DuplicateError, "pk_parents"),
    ("INSERT INTO parents VALUES (2, 'one')", DuplicateError, "uq_parents_name"),
    ("INSERT INTO children VALUES (2, 1)", DuplicateError, "uq_children_expression"),
    ("INSERT INTO parents VALUES (2, 'much too long')", CheckError, "ck_parents_name_length"),
    ("INSERT INTO parents VALUES (2, NULL)", CheckError, None),
    ("INSERT INTO children VALUES (2, 7)", MissingReferenceError, None),
    ("DELETE FROM parents", MissingReferenceError, None),
    ("INSERT INTO nowhere VALUES (1)", NotMigratedError, None),
    ("SELECT nothing FROM parents", QueryError, None),
    ("SELEC 1", QueryError, None),
    ("SELECT unknown_function(1)", QueryError, None),
]


@pytest.fixture(scope="module")
async def database(store: Database) -> Database:
    """All that is asked of it is refused."""
    async with store.transaction() as session:
        connection = await session.core()
        for statement in TABLES.split(";"):
            await connection.execute(sa.text(statement))
    return store


@pytest.mark.parametrize(("statement", "kind", "constraint"), CASES)
async def test_a_refused_statement(
    database: Database, statement: str, kind: type[StoreError], constraint: str | None
) -> None:
    with pytest.raises(StoreError) as caught:
        await database.execute(statement)
    assert type(caught.value) is kind
    if constraint is not None:
        assert getattr(caught.value, "constraint", None) == constraint
        assert constraint in str(caught.value)
    assert caught.value.__cause__ is not None


async def test_the_error_is_the_same_by_every_way(database: Database) -> None:
    duplicate = "INSERT INTO parents VALUES (1, 'two')"

    async def by_the_session() -> None:
        async with database.transaction() as session:
            await session.exec(sa.text(duplicate))  # type: ignore[call-overload]  # text is taken all the same

    async def by_a_batch() -> None:
        await database.execute_many("INSERT INTO parents VALUES (:id, :name)", [{"id": 1, "name": "two"}])

    async def by_the_driver() -> None:
        async with database.transaction() as session:
            await (await session.core()).exec_driver_sql(duplicate)

    for way in (by_the_session, by_a_batch, by_the_driver):
        with pytest.raises(DuplicateError):
            await way()


@pytest.mark.parametrize("value", [2**63, -(10**30)])
async def test_a_number_that_does_not_fit(database: Database, value: int) -> None:
    async def unit() -> None:
        async with database.transaction() as session:
            parents = sa.table("parents", sa.column("id", sa.BigInteger))
            await (await session.core()).execute(sa.update(parents).values(id=value))

    with pytest.raises(InvalidInputError):
        await unit()


async def test_a_division_by_zero_is_a_bad_value_where_it_is_one(database: Database, backend: str) -> None:
    if backend == "sqlite":
        assert await database.fetch_value("SELECT 1 / 0") is None
    else:
        with pytest.raises(InvalidInputError):
            await database.fetch_value("SELECT 1 / 0")


@on_sqlite
async def test_another_process_that_writes_for_too_long(fresh_url: str) -> None:
    file = fresh_url.removeprefix("sqlite:///")
    settings = Settings.model_validate({"database_url": fresh_url, "sqlite_busy_timeout_ms": 1})
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        async with Database(settings) as database:
            with pytest.raises(LockTimeoutError) as caught:
                await database.execute("DELETE FROM conversations")
            assert caught.value.code == "SQLITE_BUSY"
            assert await database.fetch_value("SELECT count(*) FROM conversations") == 0
            other.execute("ROLLBACK")
            await database.execute("DELETE FROM conversations")
    other.close()


@on_sqlite
async def test_a_full_storage(fresh_database: Database) -> None:
    async def unit() -> None:
        async with fresh_database.transaction() as session:
            connection = await session.core()
            pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
            await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
            await connection.exec_driver_sql("CREATE TABLE notes (text TEXT)")
            await connection.exec_driver_sql(f"INSERT INTO notes VALUES ('{'x' * 100_000}')")

    with pytest.raises(StorageFullError) as caught:
        await unit()
    assert caught.value.code == "SQLITE_FULL"
    assert not await fresh_database.table_exists("notes")


@on_sqlite
async def test_a_file_that_is_opened_for_reading_only(fresh_url: str) -> None:
    uri = f"sqlite:///file:{fresh_url.removeprefix('sqlite:///')}?mode=ro&uri=true"
    async with Database(uri) as database:
        assert await database.fetch_value("SELECT count(*) FROM conversations") == 0
        with pytest.raises(ReadOnlyError):
            await database.execute("DELETE FROM conversations")


def test_the_tree_is_the_documented_one() -> None:
    tree = {kind.__name__: kind.__mro__[1].__name__ for kind in kinds(errors)}
    assert tree == {
        "StoreError": "Exception",
        "ConfigurationError": "StoreError",
        "NotConnectedError": "StoreError",
        "WrongLoopError": "StoreError",
        "NotMigratedError": "StoreError",
        "CorruptionError": "StoreError",
        "QueryError": "StoreError",
        "ReadOnlyError": "StoreError",
        "TransactionError": "StoreError",
        "NotFoundError": "StoreError",
        "ConflictError": "StoreError",
        "DuplicateError": "ConflictError",
        "MissingReferenceError": "ConflictError",
        "CheckError": "ConflictError",
        "StaleVersionError": "ConflictError",
        "InvalidInputError": "StoreError",
        "DimensionError": "InvalidInputError",
        "InvalidCursorError": "InvalidInputError",
        "UnavailableError": "StoreError",
        "ConnectionLostError": "UnavailableError",
        "CommitUnknownError": "UnavailableError",
        "SerializationError": "UnavailableError",
        "PoolTimeoutError": "UnavailableError",
        "StatementTimeoutError": "UnavailableError",
        "LockTimeoutError": "UnavailableError",
        "StorageFullError": "UnavailableError",
    }


def kinds(module: ModuleType) -> list[type[Exception]]:
    return [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, Exception)]


def test_an_error_carries_what_a_caller_needs() -> None:
    assert (NotFoundError("Message", 7).model, NotFoundError("Message", 7).key) == ("Message", 7)
    assert (DimensionError(3, 2).expected, DimensionError(3, 2).actual, DimensionError(3, 2).field) == (3, 2, "vector")
    assert InvalidInputError("title", "is too long").field == "title"
    assert InvalidCursorError().field == "after"
    assert DuplicateError("uq_x").constraint == "uq_x"
    assert str(DuplicateError()) == "the row is there already"
    assert StatementTimeoutError("57014").code == "57014"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sa.exc.TimeoutError(), PoolTimeoutError),
        (ConnectionRefusedError(), ConnectionLostError),
        (EOFError(), ConnectionLostError),
        (OverflowError(), InvalidInputError),
        (RecursionError(), InvalidInputError),
        (sqlite3.OperationalError("disk I/O error"), UnavailableError),
        (sa.exc.InterfaceError("", {}, Exception()), ConnectionLostError),
    ],
)
def test_an_error_without_a_code_is_known_by_its_kind(error: Exception, kind: type[StoreError]) -> None:
    assert isinstance(translate(error), kind)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SQLITE_IOERR_WRITE", UnavailableError),
        ("SQLITE_CORRUPT", errors.CorruptionError),
        ("SQLITE_NOTADB", errors.CorruptionError),
        ("SQLITE_CANTOPEN", ConfigurationError),
        ("SQLITE_BUSY_SNAPSHOT", errors.SerializationError),
        ("SQLITE_TOOBIG", InvalidInputError),
        ("SQLITE_MISMATCH", InvalidInputError),
        ("SQLITE_AUTH", QueryError),
    ],
)
def test_a_code_of_sqlite_decides(code: str, kind: type[StoreError]) -> None:
    error = sqlite3.OperationalError("hush-hush")
    error.sqlite_errorname = code
    ours = translate(error)
    assert type(ours) is kind
    assert "hush-hush" not in f"{ours} {error}"


def test_what_is_no_databases_error_is_left_alone() -> None:
    for error in (ZeroDivisionError(), AttributeError(), asyncio.CancelledError(), KeyboardInterrupt()):
        assert translate(error) is None
    ours = DuplicateError("uq_x")
    assert translate(ours) is ours


def test_configuration_is_told_from_absence() -> None:
    assert not issubclass(ConfigurationError, UnavailableError)
