"""The one error tree of the project, and the one place where a driver's error becomes ours.

Codes decide (SQLSTATE, SQLite's error names), not the wording of a message. No text of an error
of ours holds a value, and the driver's errors behind it are cleared of theirs.
"""

from collections.abc import Iterator

from sqlalchemy import exc as sa_exc


class StoreError(Exception):
    """Everything that this project raises on purpose."""


class ConfigurationError(StoreError):
    """A bad URL, a missing driver or extension, a server too old, a login refused."""


class NotConnectedError(StoreError, RuntimeError):
    """The database was used before `connect()` or after `close()`."""


class WrongLoopError(StoreError, RuntimeError):
    """The database was used in another event loop than the one that connected it."""


class NotMigratedError(StoreError):
    """A table is missing: the migrations have not run."""


class CorruptionError(StoreError):
    """The database found its own file or pages damaged."""


class QueryError(StoreError):
    """The database cannot make sense of a statement: a mistake in SQL."""


class ReadOnlyError(StoreError):
    """A write in a unit that was opened for reading."""


class TransactionError(StoreError):
    """A unit of work was used against its rules, or goes on after a statement of it has failed."""


class NotFoundError(StoreError):
    """No such row, or none that this owner may see."""

    def __init__(self, model: str, key: object) -> None:
        super().__init__(f"no {model} with the key {key}")
        self.model = model
        self.key = key


class ConflictError(StoreError):
    """The rows as they are do not allow the write. `constraint` is its name where the driver tells it."""

    sentence = "a constraint was violated"

    def __init__(self, constraint: str | None = None) -> None:
        super().__init__(f"{self.sentence}: {constraint}" if constraint else self.sentence)
        self.constraint = constraint


class DuplicateError(ConflictError):
    """A row with this key is there already."""

    sentence = "the row is there already"


class MissingReferenceError(ConflictError):
    """The row refers to one that does not exist, or that this owner may not see."""

    sentence = "the row refers to one that does not exist"


class CheckError(ConflictError):
    """A value breaks a rule that the table states."""

    sentence = "a value breaks a rule of the table"


class StaleVersionError(ConflictError):
    """The row has changed since it was read."""

    sentence = "the row has changed since it was read"


class InvalidInputError(StoreError, ValueError):
    """A value that cannot be stored or asked for; `field` names it, `reason` says why, neither shows it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class DimensionError(InvalidInputError):
    """A vector whose width is not that of its space."""

    def __init__(self, expected: int, actual: int, field: str = "vector") -> None:
        super().__init__(field, f"has {actual} dimensions, its space has {expected}")
        self.expected = expected
        self.actual = actual


class InvalidCursorError(InvalidInputError):
    """A page cursor that this project did not make, or not for this page."""

    def __init__(self) -> None:
        super().__init__("after", "is not a cursor of this page")


class UnavailableError(StoreError):
    """The database cannot do it now; the same call may succeed later. `code` is the driver's."""

    sentence = "the database is not available"

    def __init__(self, code: str | None = None) -> None:
        super().__init__(f"{self.sentence} ({code})" if code else self.sentence)
        self.code = code


class ConnectionLostError(UnavailableError):
    sentence = "the database was not reached, or the connection broke"


class CommitUnknownError(UnavailableError):
    """The connection broke while COMMIT was on its way: it may or may not have happened."""

    sentence = "the connection broke during COMMIT; whether it happened is not known"


class SerializationError(UnavailableError):
    sentence = "the transaction collided with another and was rolled back"


class PoolTimeoutError(UnavailableError):
    sentence = "no connection became free in time"


class StatementTimeoutError(UnavailableError):
    sentence = "the statement took too long and was stopped"


class LockTimeoutError(UnavailableError):
    sentence = "a lock was not released in time"


class StorageFullError(UnavailableError):
    sentence = "the storage is full"


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
    "25P02": (TransactionError, "a statement of this unit has failed; expect failures inside nested()"),
    "42P01": (NotMigratedError, "a table is missing; run `alembic upgrade head`"),
    "28P01": (ConfigurationError, "the server refused the login"),
    "28000": (ConfigurationError, "the server refused the login"),
    "3D000": (ConfigurationError, "the server has no such database"),
    "SQLITE_CANTOPEN": (ConfigurationError, "the database file cannot be opened"),
    "SQLITE_CORRUPT": (CorruptionError, "the database file is damaged"),
    "SQLITE_NOTADB": (CorruptionError, "the file is not a database"),
    "XX001": (CorruptionError, "the server found damaged data"),
    "XX002": (CorruptionError, "the server found a damaged index"),
}

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
        return TransactionError("a statement of this unit has failed; expect failures inside nested()")
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
        for attribute in ("detail", "hint", "query", "internal_query", "context", "statement", "params"):
            if getattr(link, attribute, None) is not None:
                setattr(link, attribute, None)
