"""Which faults there are, how often each is tried at full size, and how they share the time."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeAlias

from database.errors import StoreError
from scripts.torture import bouncer, cancels, contention, cuts, kills, storage
from scripts.torture.places import PostgresPlace, SqlitePlace
from scripts.torture.proxy import Cut
from scripts.torture.report import Row, not_run

FULL_SIZE_MINUTES = 10
LEAST_KILLS = {"sqlite": 20, "postgresql": 10}

Counted: TypeAlias = Callable[[str, Path], Awaitable[Row]]


@dataclass(frozen=True, slots=True)
class Fault:
    """`run` is given the seconds that it may take: those with rounds of a fixed number take what they take."""

    name: str
    database: str
    run: Callable[[float], Awaitable[Row]]
    timed: bool = False


def on_sqlite(place: SqlitePlace, folder: Path, scale: float) -> Sequence[Fault]:
    own = _folders(folder)
    kind = "sqlite"

    async def kill(seconds: float) -> Row:
        return await kills.kill_writers(await place.new(), own(), rounds=LEAST_KILLS[kind], seconds=seconds)

    async def fill(seconds: float) -> Row:
        room = own()
        with storage.small_file_system(room, 4 << 20) as mounted:
            url = place.copy_to(room / "full.db") if mounted else await place.new()
            return await storage.fill(url, own(), room if mounted else None, times=2)

    return [
        Fault(kills.WRITER, kind, kill, timed=True),
        *(_counted(name, kind, place, own, run) for name, run in _on_both(scale).items()),
        Fault(storage.FAULT, kind, fill),
    ]


def on_postgres(place: PostgresPlace, folder: Path, scale: float) -> Sequence[Fault]:
    own = _folders(folder)
    kind, server = "postgresql", place.server
    rounds = LEAST_KILLS[kind]

    def timed(name: str, strike: Callable[..., Awaitable[Row]]) -> Fault:
        async def run(seconds: float) -> Row:
            return await strike(await place.new(), own(), rounds=rounds, seconds=seconds)

        return Fault(name, kind, run, timed=True)

    async def fill(seconds: float) -> Row:
        room = server.new_folder("room")
        with storage.small_file_system(room, 16 << 20) as mounted:
            if not mounted:
                return not_run(storage.FAULT, kind, "no small file system may be mounted here")
            async with server.tablespace("room", room):
                return await storage.fill(await place.new("room"), own(), room, times=2)

    async def pool(seconds: float) -> Row:
        if not bouncer.is_installed():
            return not_run(bouncer.FAULT, kind, "the program pgbouncer is not installed here")
        return await bouncer.through_pgbouncer(server, await place.new(), own(), units=round(20 * scale))

    cutting = {when: partial(cuts.cut_commits, when=when, count=round(100 * scale)) for when in Cut}
    return [
        timed(kills.WRITER, kills.kill_writers),
        timed(kills.TERMINATED, kills.terminate_backends),
        timed(kills.BACKEND, partial(kills.kill_backends, server)),
        timed(kills.CRASH, partial(kills.crash_server, server)),
        timed(kills.RESTART, partial(kills.restart_server, server)),
        *(_counted(f"cut {when} COMMIT", kind, place, own, cut) for when, cut in cutting.items()),
        *(_counted(name, kind, place, own, run) for name, run in _on_both(scale).items()),
        Fault(storage.FAULT, kind, fill),
        Fault(bouncer.FAULT, kind, pool),
    ]


async def in_turn(faults: Sequence[Fault], seconds: float) -> AsyncIterator[tuple[int, Row]]:
    """Each fault's place and row. First those with a fixed number of rounds, then the others share what is left."""
    ends = time.monotonic() + seconds
    order = sorted(range(len(faults)), key=lambda place: faults[place].timed)
    for done, place in enumerate(order):
        fault, left = faults[place], max(ends - time.monotonic(), 0)
        try:
            row = await fault.run(left / (len(order) - done))
        except StoreError as error:
            row = Row(fault.name, fault.database, kept=False, note=f"ended with {type(error).__name__}: {error}")
        yield place, row


def scale_of(minutes: float) -> float:
    """Never less than what the promises ask for."""
    return max(1.0, minutes / FULL_SIZE_MINUTES)


def _on_both(scale: float) -> dict[str, Counted]:
    return {
        cancels.FAULT: partial(cancels.cancel_units, count=round(410 * scale)),
        contention.CROWD: partial(contention.crowd, units=round(8 * scale)),
        contention.STEPS: partial(contention.step_states, units=round(20 * scale), write=contention.step),
    }


def _counted(
    name: str, kind: str, place: SqlitePlace | PostgresPlace, own: Callable[[], Path], counted: Counted
) -> Fault:
    async def run(seconds: float) -> Row:
        return await counted(await place.new(), own())

    return Fault(name, kind, run)


def _folders(folder: Path) -> Callable[[], Path]:
    numbers = count()

    def own() -> Path:
        new = folder / f"journals-{next(numbers)}"
        new.mkdir()
        return new

    return own
