"""Which failures go away when a unit of work is done again, and how long to wait before that."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from database.errors import (
    CommitUnknownError,
    ConnectionLostError,
    InvalidInputError,
    LockTimeoutError,
    PoolTimeoutError,
    SerializationError,
    UnavailableError,
)

RETRIES = 20
DEADLINE = 30.0
"""Seconds: longer than a server takes to start again. The retries' waits are as long together."""

FIRST_WAIT, LONGEST_WAIT, JITTER = 0.02, 2.0, 0.1
"""Seconds. Each wait is twice the one before, and a random part more, so that those who collided do not meet again."""

TOO_MANY_CONNECTIONS = "53300"

T = TypeVar("T")


async def again(unit: Callable[[], Awaitable[T]], retries: int, deadline: float | None, *, idempotent: bool) -> T:
    """What `unit` returns, which is done until it passes, or fails for good.

    Where an attempt's COMMIT had no answer and a later one fails for the database's sake, CommitUnknownError is what is
    known; where it fails by itself, its error has a note of that.
    """
    if retries < 0:
        raise InvalidInputError("retries", "is below 0")
    if deadline is not None and not deadline > 0:
        raise InvalidInputError("deadline", "is not above 0")
    unknown: CommitUnknownError | None = None

    def is_worth_it(error: Exception) -> bool:
        nonlocal unknown
        if isinstance(error, CommitUnknownError):
            unknown = error
        return is_transient(error, idempotent=idempotent)

    try:
        async for attempt in stamina.retry_context(
            on=is_worth_it,
            attempts=retries + 1,
            timeout=deadline,
            wait_initial=FIRST_WAIT,
            wait_max=LONGEST_WAIT,
            wait_jitter=JITTER,
        ):
            with attempt:
                return await unit()
    except Exception as error:
        if unknown is None or error is unknown:
            raise
        if isinstance(error, UnavailableError):
            raise CommitUnknownError(unknown.code) from error
        error.add_note(f"before that: {unknown}")
        raise
    raise AssertionError("the last attempt returns or raises")


def is_transient(error: Exception, *, idempotent: bool) -> bool:
    """Whether nothing was kept and the same unit may succeed now; or it may have been kept, and doubles nothing.

    A caller's own limits are none of it: a statement that took too long, a pool that is too small.
    """
    match error:
        case SerializationError() | LockTimeoutError() | ConnectionLostError():
            return True
        case CommitUnknownError():
            return idempotent
        case PoolTimeoutError():
            return error.code == TOO_MANY_CONNECTIONS
    return False
