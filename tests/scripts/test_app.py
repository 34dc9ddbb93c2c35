"""The voice of the commands: data on stdout, words on stderr, and a code that a script can use."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from database import errors
from scripts import app
from scripts.console import emit
from scripts.postgres import PostgresUnavailableError
from tests.scripts.conftest import Command

ROOT = Path(__file__).resolve().parent.parent.parent


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Found:
    id: UUID
    cost: Decimal
    at: datetime
    colour: Colour
    parts: tuple[int, ...]


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        """Fail."""
        raise error

    return command


@pytest.mark.parametrize(
    "error, code",
    [
        (errors.NotFoundError("Persona", "k"), 1),
        (errors.DuplicateError("uq_x"), 1),
        (errors.ConfigurationError("no such driver"), 2),
        (errors.UnavailableError("the server does not answer"), 3),
        (PostgresUnavailableError("not installed"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_is_a_sentence_and_a_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.import_module", lambda name: SimpleNamespace(command=raising(error)))
    monkeypatch.setattr(sys, "argv", ["scripts", "health"])

    with pytest.raises(SystemExit) as stopped:
        app.main()

    captured = capsys.readouterr()
    assert stopped.value.code == code
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert str(error) in captured.err


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.import_module", lambda name: SimpleNamespace(command=raising(ZeroDivisionError())))
    monkeypatch.setattr(sys, "argv", ["scripts", "health"])

    with pytest.raises(ZeroDivisionError):
        app.main()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "scripts", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.processes
def test_the_overview_names_every_command_and_the_exit_codes() -> None:
    overview = run("--help")

    assert overview.returncode == 0
    assert overview.stderr == ""
    words = " ".join(overview.stdout.split())
    assert "130 interrupted" in words
    for name in app.COMMANDS:
        assert f" {name} " in words


@pytest.mark.parametrize("name", app.COMMANDS)
async def test_every_command_has_help(name: str, command: Command) -> None:
    assert importlib.util.find_spec(app.COMMANDS[name][0])
    asked = await command(name, "--help")

    assert asked.code == 0, asked.err
    assert f"python3 -m scripts {name}" in asked.out


@pytest.mark.processes
def test_an_unknown_command_is_wrong_usage() -> None:
    asked = run("dmeo")

    assert asked.returncode == 2
    assert asked.stdout == ""
    assert "dmeo" in asked.stderr


@pytest.mark.processes
def test_with_postgres_gives_the_program_a_database_and_takes_its_exit_code() -> None:
    program = "import os, sys; print(os.environ['DATABASE_URL']); sys.exit(5)"

    done = run("with-postgres", "--", sys.executable, "-c", program)

    assert done.returncode == 5, done.stderr
    assert done.stdout.startswith("postgresql+asyncpg://")
    assert not Path(done.stdout.strip().split("host=")[1]).exists()


def test_json_keeps_every_type_without_loss(capsys: pytest.CaptureFixture[str]) -> None:
    found = Found(UUID(int=7), Decimal("0.1000000001"), datetime(2026, 1, 2, tzinfo=UTC), Colour.RED, (1, 2))

    emit({"found": [found]}, as_json=True)

    assert json.loads(capsys.readouterr().out) == {
        "found": [
            {
                "id": "00000000-0000-0000-0000-000000000007",
                "cost": "0.1000000001",
                "at": "2026-01-02T00:00:00+00:00",
                "colour": "red",
                "parts": [1, 2],
            }
        ]
    }


def test_json_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        emit(object(), as_json=True)
