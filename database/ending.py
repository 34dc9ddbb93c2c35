"""How a unit ends, whatever happens meanwhile: its COMMIT is awaited whole, and where it is in doubt that is told."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from database.errors import CommitUnknownError, ConnectionLostError
from database.translation import never_sent

T = TypeVar("T")


class Ending(Protocol):
    """A unit, or a session of one."""

    @property
    def is_idle(self) -> bool: ...


async def end_of(ended: Ending, end: Coroutine[Any, Any, None]) -> None:
    """Whatever comes. What has begun nothing waits for nothing, so no cancellation can come between."""
    await (end if ended.is_idle else to_its_end(end))


@contextmanager
def keeping() -> Iterator[None]:
    """What was on its way to be kept when the connection broke may have been kept."""
    try:
        yield
    except ConnectionLostError as error:
        if never_sent(error):
            raise
        raise CommitUnknownError(error.code) from error


async def _and_tell(work: Coroutine[Any, Any, T], ended: asyncio.Future[None]) -> T:
    try:
        return await work
    finally:
        if not ended.done():
            ended.set_result(None)


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` whole even when the task is cancelled meanwhile; the cancellation goes on after it."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    task = loop.create_task(_and_tell(work, ended))
    try:
        # Told by the work itself, and not as the task's end is: that would be one more turn of the loop.
        await ended
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                continue
        if not task.cancelled():
            task.exception()
        raise
    return task.result()
