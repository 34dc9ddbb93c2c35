"""Work in several processes at once, as the workers of an application do it."""

import asyncio
import multiprocessing
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

# Forked from one that has imported what takes long, and that has no connection or thread to inherit.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["repositories", "pytest"])


async def in_processes(work: Callable[..., Coroutine[Any, Any, None]], calls: Sequence[tuple[Any, ...]]) -> None:
    """Run `work(*call)` for each of the calls, each in a process of its own; raises what one of them raises."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(len(calls), mp_context=_SERVER) as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, _run, work, call) for call in calls))


def _run(work: Callable[..., Coroutine[Any, Any, None]], call: tuple[Any, ...]) -> None:
    asyncio.run(work(*call))
