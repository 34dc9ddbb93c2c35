"""Makes a bare Python enough: the pinned packages come into `.venv` before a command runs.

Only the standard library here. Somebody's own environment that has what the command needs is used
as it is. Otherwise the command goes on in `.venv`, which is made, or brought to today's pins, first.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "requirements.txt"
VENV = ROOT / ".venv"
STAMP = VENV / "persona-store.stamp"  # the hash of the pins that are all installed
LOCK = ROOT / ".venv.lock"  # holds a word while somebody is installing, so also after a kill
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[.*\])?(?:>=(?P<floor>[\d.]+))?(?:,<(?P<ceiling>[\d.]+))?")


def ensure_installed() -> None:
    """Return where the command can run; else start it again in `.venv`, made in a minute."""
    pins = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if VENV.resolve() == Path(sys.prefix).resolve() and _stamp():
        ready = _stamp() == pins
    else:
        ready = all(map(_satisfied, requirements(tests="test" in sys.argv[1:2])))
    if ready:
        return
    if not _finished(pins):
        try:
            _install(pins)
        except KeyboardInterrupt:
            sys.exit(130)
        except OSError as error:
            _stop(f"{VENV} cannot be made: {error}")
    _start_again()


def requirements(*, tests: bool) -> list[str]:
    """What a command needs by pyproject.toml; the tests need the extra `dev`, and those that it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed: list[str] = list(project["dependencies"])
    extras = ["dev"] if tests else []
    while extras:
        for line in project["optional-dependencies"][extras.pop()]:
            if line.startswith(f"{project['name']}["):
                extras += re.findall(r"[\w-]+", line.removeprefix(project["name"]))
            else:
                needed.append(line)
    return needed


def _satisfied(requirement: str) -> bool:
    """Whether this interpreter has the package in a fitting version."""
    match = REQUIREMENT.fullmatch(requirement)
    assert match, requirement
    try:
        version = importlib.metadata.version(match["name"])
    except importlib.metadata.PackageNotFoundError:
        return False
    return within(version, match["floor"], match["ceiling"])


def within(version: str, floor: str | None, ceiling: str | None) -> bool:
    """Whether floor <= version < ceiling, by the numbers in them."""

    def numbers(text: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", text)]

    return numbers(floor or "0") <= numbers(version) and (not ceiling or numbers(version) < numbers(ceiling))


def _stamp() -> str:
    return STAMP.read_text() if STAMP.exists() else ""


def _finished(pins: str) -> bool:
    return _stamp() == pins and PYTHON.exists()


def _install(pins: str) -> None:
    """Make `.venv`, or bring it to the pins; a half-made one is made anew."""
    if importlib.util.find_spec("ensurepip") is None:
        version = "{}.{}".format(*sys.version_info[:2])
        _stop(f"This Python cannot make environments: on Debian or Ubuntu install python{version}-venv.")
    with _alone() as note:
        if _finished(pins):
            return
        started = time.monotonic()
        killed = bool(note.read())
        note.write("installing\n")
        note.flush()
        if killed or not PYTHON.exists():
            _say("making .venv: the first time takes about a minute")
            # Not by the interpreter of a .venv, which would remove itself.
            base = getattr(sys, "_base_executable", None) or sys.executable
            _run(base, "-m", "venv", "--clear", str(VENV))
        else:
            _say("bringing .venv to the pinned packages")
            if subprocess.run([PYTHON, "-c", "import pip"], stderr=subprocess.DEVNULL).returncode:
                _run(str(PYTHON), "-m", "ensurepip")
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run(*pip, "--no-input", "--no-user", "--no-deps", "--require-hashes", "-r", str(PINS))
        STAMP.write_text(pins)
        note.truncate(0)
        _say(f"ready after {time.monotonic() - started:.0f} s")


@contextlib.contextmanager
def _alone() -> Iterator[IO[str]]:
    """Hold the lock of the installation; whoever comes second waits."""
    with LOCK.open("a+") as note:
        os.set_inheritable(note.fileno(), True)  # if we are killed, pip holds the lock on
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _say("waiting for another process that makes .venv")
                fcntl.flock(note, fcntl.LOCK_EX)
        note.seek(0)
        yield note


def _run(*command: str) -> None:
    """Run a step of the installation; its words go to standard error, which is not for data."""
    if subprocess.run(command, stdout=sys.stderr, cwd=ROOT, close_fds=False).returncode:
        _stop("The packages could not be installed; the reason stands above. Another try may do.")


def _start_again() -> NoReturn:
    command = [str(PYTHON), "-m", "scripts", *sys.argv[1:]]
    if os.name == "nt":  # there execv returns to the shell before the command ends
        sys.exit(subprocess.call(command))
    os.environ.pop("__PYVENV_LAUNCHER__", None)  # macOS: it would name the first interpreter again
    os.execv(PYTHON, command)


def _say(words: str) -> None:
    print(f"persona-store: {words}", file=sys.stderr, flush=True)


def _stop(words: str) -> NoReturn:
    _say(words)
    sys.exit(1)
