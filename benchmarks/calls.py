"""What one operation costs that no other load of the machine changes: function calls, statements, round trips.

    counted = await count_calls(lambda: append("Hello"))
    assert counted.function_calls <= 650

Counted at the drivers themselves, so that nothing passes by unseen, whichever way it was sent.
"""

import asyncio
import cProfile
import gc
import re
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median_low
from types import FrameType
from typing import Any
from unittest.mock import patch

from asyncpg.protocol import Protocol

Operation = Callable[[], Awaitable[object]]

WARM_UP = 3
REPEATS = 9

FRAMES = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA)\b", re.IGNORECASE)
"""What only frames a transaction, or sets it up: sent, and no statement of the operation."""

EXCHANGES = {
    "bind_execute": True,
    "bind_execute_many": True,
    "bind": True,
    "query": True,
    "copy_in": True,
    "copy_out": True,
    "execute": False,
    "prepare": False,
    "close_statement": False,
}
"""What asyncpg sends and waits for, and whether a statement runs by it; the others go on with one, or prepare it."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Of one operation, the median of several.

    `function_calls`: in the thread of the event loop, the loop's own included. `round_trips`: how often it waited for
    the server, or, with SQLite, for a thread. `sent`: what the drivers were given, in order, BEGIN and COMMIT too.
    """

    function_calls: int
    round_trips: int
    sent: tuple[str, ...]

    @property
    def statements(self) -> int:
        """How many were sent, but for what frames a transaction."""
        return sum(not FRAMES.match(text) for text in self.sent)


@dataclass(slots=True)
class Traffic:
    """What reached the drivers: a statement's text in `sent`, every wait in `round_trips`."""

    sent: list[str] = field(default_factory=list)
    round_trips: int = 0


async def count_calls(operation: Operation, *, warm_up: int = WARM_UP, repeats: int = REPEATS) -> Calls:
    """Do the operation a few times to warm it up, `repeats` times under the profiler, and once to see its statements.

    What it needs (a connected database, a conversation) is there before; each repetition is the whole operation again.
    """
    for _ in range(warm_up):
        await operation()
    function_calls = median_low([await _function_calls(operation) for _ in range(repeats)])
    with listening() as traffic:
        await operation()
    return Calls(function_calls, traffic.round_trips, tuple(traffic.sent))


async def _function_calls(operation: Operation) -> int:
    profile = cProfile.Profile()
    collecting = gc.isenabled()
    gc.disable()  # a collection calls whoever listens to it, whenever it comes
    profile.enable()
    try:
        await operation()
    finally:
        profile.disable()
        if collecting:
            gc.enable()
    return sum(entry.callcount for entry in profile.getstats())


@contextmanager
def listening() -> Iterator[Traffic]:
    """What is sent inside the block. SQLite's connections are heard if they were open before it."""
    traffic = Traffic()
    with ExitStack() as stack:
        for name, runs in EXCHANGES.items():
            stack.enter_context(patch.object(Protocol, name, _heard(traffic, getattr(Protocol, name), runs)))
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def woken(*args: Any, **options: Any) -> asyncio.Handle:
            traffic.round_trips += 1
            return wake(*args, **options)

        stack.enter_context(patch.object(loop, "call_soon_threadsafe", woken))
        for connection in _sqlite_connections():
            connection.set_trace_callback(_Tracer(traffic))
            stack.callback(connection.set_trace_callback, None)
        yield traffic


SUBJECTS = ("state", "query", "copy_stmt")
"""How asyncpg names what is to be run, where it names it."""


def _heard(traffic: Traffic, original: Callable[..., Any], runs: bool) -> Callable[..., Any]:
    def exchange(protocol: Protocol, *args: Any, **options: Any) -> Any:
        traffic.round_trips += 1
        if runs:
            subject = args[0] if args else next(options[name] for name in SUBJECTS if name in options)
            # A prepared statement knows its text.
            traffic.sent.append(subject if isinstance(subject, str) else subject.query)
        return original(protocol, *args, **options)

    return exchange


class _Tracer:
    """SQLite traces a statement again at each trigger that it fires, from the same call of the same frame.

    And, as comments, what its virtual tables do by it. Each row of an executemany() is a statement of its own to it.
    """

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._last: tuple[FrameType, int, str] | None = None

    def __call__(self, text: str) -> None:
        if text.startswith("--"):
            return
        frame = sys._getframe(1)
        here = (frame, frame.f_lasti, text)
        if here != self._last:
            self._traffic.sent.append(text)
        self._last = here


def _sqlite_connections() -> Sequence[sqlite3.Connection]:
    found = []
    for thing in gc.get_objects():
        if isinstance(thing, sqlite3.Connection):
            try:
                thing.total_changes  # noqa: B018  # a closed one refuses, and hears nothing
            except sqlite3.ProgrammingError:
                continue
            found.append(thing)
    return found
