"""The one place where a driver's error becomes ours.

Codes decide (SQLSTATE, SQLite's error names), not the wording of a message. The driver's errors, which stay behind ours
as their cause, are cleared of the values that they quote.
"""

from collections.abc import Iterator

from sqlalchemy import exc as sa_exc

from database.errors import (
    STATEMENT_FAILED,
    CheckError,
    ConfigurationError,
    ConflictError,
    ConnectionLostError,
    CorruptionError,
    DuplicateError,
    InvalidInputError,
    LockTimeoutError,
    MissingReferenceError,
    NotMigratedError,
    PoolTimeoutError,
    QueryError,
    ReadOnlyError,
    SerializationError,
    StatementTimeoutError,
    StorageFullError,
    StoreError,
    TransactionError,
    UnavailableError,
)

CONFLICTS: dict[str, type[ConflictError]] = {
    "23505": DuplicateError,
    "23503": MissingReferenceError,
    "23001": MissingReferenceError,
    "23514": CheckError,
    "23502": CheckError,
    "SQLITE_CONSTRAINT_UNIQUE": DuplicateError,
    "SQLITE_CONSTRAINT_PRIMARYKEY": DuplicateError,
    "SQLITE_CONSTRAINT_ROWID": DuplicateError,
    "SQLITE_CONSTRAINT_FOREIGNKEY": MissingReferenceError,
    "SQLITE_CONSTRAINT_CHECK": CheckError,
    "SQLITE_CONSTRAINT_NOTNULL": CheckError,
}

UNAVAILABLE: dict[str, type[UnavailableError]] = {
    "40001": SerializationError,
    "40P01": SerializationError,
    "SQLITE_BUSY_SNAPSHOT": SerializationError,
    "55P03": LockTimeoutError,
    "SQLITE_BUSY": LockTimeoutError,
    "SQLITE_BUSY_TIMEOUT": LockTimeoutError,
    "SQLITE_BUSY_RECOVERY": LockTimeoutError,
    "SQLITE_LOCKED": LockTimeoutError,
    "SQLITE_LOCKED_SHAREDCACHE": LockTimeoutError,
    "57014": StatementTimeoutError,
    "SQLITE_INTERRUPT": StatementTimeoutError,
    "53100": StorageFullError,
    "SQLITE_FULL": StorageFullError,
    "53300": PoolTimeoutError,
}

STATEMENT_FAULTS: dict[str, tuple[type[StoreError], str]] = {
    "25006": (ReadOnlyError, "this unit only reads; write in transaction() or a UnitOfWork"),
    "SQLITE_READONLY": (ReadOnlyError, "this unit only reads; write in transaction() or a UnitOfWork"),
    "25P02": (TransactionError, STATEMENT_FAILED),
    "42P01": (NotMigratedError, "a table is missing; run `alembic upgrade head`"),
    "28P01": (ConfigurationError, "the server refused the login"),
    "28000": (ConfigurationError, "the server refused the login"),
    "3D000": (ConfigurationError, "the server has no such database"),
    "SQLITE_CANTOPEN": (ConfigurationError, "the database file cannot be opened"),
    "SQLITE_CORRUPT": (CorruptionError, "the database file is damaged"),
    "SQLITE_CORRUPT_VTAB": (CorruptionError, "the text index of the database file is damaged"),
    "SQLITE_CORRUPT_INDEX": (CorruptionError, "an index of the database file is damaged"),
    "SQLITE_NOTADB": (CorruptionError, "the file is not a database"),
    "XX001": (CorruptionError, "the server found damaged data"),
    "XX002": (CorruptionError, "the server found a damaged index"),
}

ASYNCPG_ERRORS = "asyncpg.exceptions._base"

BAD_VALUES = ("SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_RANGE")


def translate(error: BaseException, *, disconnected: bool = False) -> StoreError | None:
    """Our error for a driver's, with the driver's cleared of values; None where it is not one of a database."""
    if isinstance(error, StoreError):
        return error
    if not isinstance(error, Exception):
        return None
    ours = _translated(error, disconnected)
    if ours is not None:
        _scrub(error)
    return ours


def _translated(error: BaseException, disconnected: bool) -> StoreError | None:
    if isinstance(error, sa_exc.TimeoutError):
        return PoolTimeoutError()
    if isinstance(error, sa_exc.PendingRollbackError):
        return TransactionError(STATEMENT_FAILED)
    if isinstance(error, sa_exc.InvalidRequestError):
        return InvalidInputError("params", "do not name all that the statement asks for")
    code = _code(error)
    if disconnected or code.startswith(("08", "57P")):
        return ConnectionLostError(code or None)
    if code in CONFLICTS:
        return CONFLICTS[code](_constraint(error, code))
    if code in UNAVAILABLE:
        return UNAVAILABLE[code](code)
    if code in STATEMENT_FAULTS:
        kind, sentence = STATEMENT_FAULTS[code]
        return kind(sentence)
    if code.startswith("22") or code in BAD_VALUES:
        return InvalidInputError("value", f"cannot be stored or compared ({code})")
    if code.startswith(("SQLITE_IOERR", "53", "58")):
        return UnavailableError(code)
    if code == "SQLITE_ERROR" and str(error).startswith("no such table"):
        # SQLite has no code of its own for it.
        return NotMigratedError("a table is missing; run `alembic upgrade head`")
    if code:
        return QueryError(f"the database refused the statement ({code})")
    if isinstance(error, OSError | EOFError):
        return ConnectionLostError()
    if isinstance(error, ValueError | TypeError | OverflowError | LookupError | RecursionError):
        return InvalidInputError("value", "cannot be stored as what it is")
    return _of_driver(error) if _is_drivers(error) else None


def _is_drivers(error: BaseException) -> bool:
    return type(error).__module__.startswith(("asyncpg", "sqlite3", "sqlalchemy"))


def _of_driver(error: BaseException) -> StoreError:
    """An error that a driver raises by itself, before or without the server."""
    kinds = {kind.__name__ for link in _chain(error) for kind in type(link).__mro__}
    if kinds & {"DataError", "ProgrammingError"}:
        return InvalidInputError("value", "cannot be stored as what it is")
    return ConnectionLostError()


def never_sent(error: BaseException) -> bool:
    """Whether the driver refused a statement since its connection had broken before: the server has not seen it."""
    links = list(_chain(error))
    refused = any(type(link).__name__ == "InterfaceError" and type(link).__module__ == ASYNCPG_ERRORS for link in links)
    return refused and not any(isinstance(link, OSError) for link in links) and not _code(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _code(error: BaseException) -> str:
    """SQLSTATE or SQLite's error name, wherever in the chain the driver left it; "" where there is none."""
    for link in _chain(error):
        code = getattr(link, "sqlstate", None) or getattr(link, "sqlite_errorname", None)
        if isinstance(code, str):
            return code
    return ""


def _constraint(error: BaseException, code: str) -> str | None:
    for link in _chain(error):
        name = getattr(link, "constraint_name", None)
        if isinstance(name, str):
            return name
    if not code.startswith("SQLITE"):
        return None
    subject = str(error).partition("failed: ")[2]
    if code == "SQLITE_CONSTRAINT_CHECK":
        return subject or None
    if subject.startswith("index "):
        return subject.removeprefix("index ").strip("'")
    columns = [column.strip().partition(".") for column in subject.split(",") if column]
    if not columns or code not in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"):
        return None
    table = columns[0][0]
    if code == "SQLITE_CONSTRAINT_PRIMARYKEY":
        return f"pk_{table}"
    return "_".join(["uq", table, *(column for _, _, column in columns)])


def _scrub(error: BaseException) -> None:
    """Clear the driver's errors of values: they quote rows, parameters and the text of statements."""
    for link in _chain(error):
        if link is not error and not _is_drivers(link):
            continue
        code = getattr(link, "sqlstate", None) or getattr(link, "sqlite_errorname", None)
        link.args = (f"{type(link).__name__} ({code})" if code else type(link).__name__,)
        for attribute in ("message", "detail", "hint", "query", "internal_query", "context", "statement", "params"):
            if getattr(link, attribute, None) is not None:
                setattr(link, attribute, None)
