"""Which failures go away when a unit of work is done again, and how long to wait before that."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager

import stamina

from database.errors import (
    CommitUnknownError,
    ConnectionLostError,
    InvalidInputError,
    LockTimeoutError,
    PoolTimeoutError,
    SerializationError,
)

RETRIES = 20
DEADLINE = 30.0
"""Seconds: longer than a server takes to start again. The retries' waits are as long together."""

FIRST_WAIT, LONGEST_WAIT, JITTER = 0.02, 2.0, 0.1
"""Seconds. Each wait is twice the one before, and a random part more, so that those who collided do not meet again."""

TOO_MANY_CONNECTIONS = "53300"


def attempts(
    retries: int, deadline: float | None, *, idempotent: bool
) -> AsyncIterator[AbstractContextManager[object]]:
    """`async for attempt in attempts(...): with attempt: ...` until it passes, or fails for good."""
    if retries < 0:
        raise InvalidInputError("retries", "is below 0")
    if deadline is not None and not deadline > 0:
        raise InvalidInputError("deadline", "is not above 0")

    def again(error: Exception) -> bool:
        return is_transient(error, idempotent=idempotent)

    return stamina.retry_context(
        on=again,
        attempts=retries + 1,
        timeout=deadline,
        wait_initial=FIRST_WAIT,
        wait_max=LONGEST_WAIT,
        wait_jitter=JITTER,
    )


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
