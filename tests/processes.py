"""Work in processes of its own, as the workers of an application do it, and its commands."""

import asyncio
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

# Forked from one that has imported what takes long, and that has no connection or thread to inherit.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["repositories", "alembic.config", "pytest"])


async def in_processes(work: Callable[..., Coroutine[Any, Any, T]], calls: Sequence[tuple[Any, ...]]) -> list[T]:
    """What `work(*call)` returns for each call, each in a process of its own; raises what one of them raises."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(len(calls), mp_context=_SERVER) as pool:
        return await asyncio.gather(*(loop.run_in_executor(pool, _run, work, call) for call in calls))


def _run(work: Callable[..., Coroutine[Any, Any, T]], call: tuple[Any, ...]) -> T:
    return asyncio.run(work(*call))


@dataclass(frozen=True, slots=True)
class Ran:
    returncode: int | None
    stdout: str
    stderr: str


def run_python(program: str, *arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> Ran:
    """`python -c program arguments` in `folder`, with `environment` besides our own; blocks."""
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        given = (program, arguments, str(folder), dict(os.environ | (environment or {})), str(out), str(err))
        process = _SERVER.Process(target=_execute, args=given)
        process.start()
        process.join()
        return Ran(process.exitcode, out.read_text(), err.read_text())


def _execute(
    program: str, arguments: Sequence[str], folder: str, environment: Mapping[str, str], out: str, err: str
) -> None:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)
    sys.argv = ["-c", *arguments]
    try:
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
