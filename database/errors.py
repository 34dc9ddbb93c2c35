"""The one error tree of the project: the same errors on both databases, and no value in their text."""

from uuid import UUID


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


STATEMENT_FAILED = "a statement of this unit has failed; expect failures inside nested()"


class TransactionError(StoreError):
    """A unit of work was used against its rules, or goes on after a statement of it has failed."""


class NotFoundError(StoreError):
    """No such row, or none that this owner may see. A key that is no id is a name: the text does not show it."""

    def __init__(self, model: str, key: object) -> None:
        super().__init__(f"no {model} with the key {key}" if _is_id(key) else f"no {model} with this key")
        self.model = model
        self.key = key


def _is_id(key: object) -> bool:
    try:
        UUID(str(key))
    except ValueError:
        return False
    return True


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
