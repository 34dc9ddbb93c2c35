"""How a test calls a command: as `python3 -m scripts` does, in this process, and sees what a user sees."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from scripts import app


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What `--json` printed; nothing else may stand on standard output."""
        return json.loads(self.out)


Command = Callable[..., Awaitable[Ran]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`await command("import", path, "--json")`: in a thread, since a command has an event loop of its own."""

    async def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["scripts", *map(str, arguments)])
        capsys.readouterr()
        code = await asyncio.to_thread(_main)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)

    return run


def _main() -> int:
    try:
        app.main()
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    return 0
