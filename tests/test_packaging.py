"""What leaves the house: the wheel's files, the pins, and imports without a side effect."""

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import alembic.command
import hatchling.build
import pytest

from scripts import bootstrap

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PACKAGES = ["database", "models", "repositories"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [built] = folder.iterdir()
    with zipfile.ZipFile(built) as opened:
        yield opened


def test_the_wheel_holds_the_three_packages_and_the_history(wheel: zipfile.ZipFile) -> None:
    expected = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.suffix in {".py", ".typed"}
    }
    expected |= {"database/history/env.py", "database/history/script.py.mako"}
    versions = {file.name for file in (ROOT / "alembic/versions").glob("*.py")}
    expected |= {f"database/history/versions/{name}" for name in versions}

    names = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert names == expected
    assert versions, "a wheel without a revision cannot migrate"
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_an_editable_installation_copies_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with zipfile.ZipFile(tmp_path / hatchling.build.build_editable(str(tmp_path))) as built:
        names = [name for name in built.namelist() if ".dist-info/" not in name]
        assert [Path(name).suffix for name in names] == [".pth"]
        assert Path(built.read(names[0]).decode().strip()) == ROOT


def test_the_wheel_says_that_it_is_not_for_upload(wheel: zipfile.ZipFile) -> None:
    [metadata] = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    lines = wheel.read(metadata).decode().splitlines()

    assert "Name: persona-store" in lines
    assert "Classifier: Private :: Do Not Upload" in lines
    assert "License-Expression: MIT" in lines
    assert "Requires-Python: >=3.11" in lines


def test_the_folder_alembic_does_not_hide_the_library() -> None:
    assert not (ROOT / "alembic/__init__.py").exists()
    assert alembic.command.__file__ is not None
    assert not Path(alembic.command.__file__).is_relative_to(ROOT / "alembic")


def test_importing_gives_no_warning_and_makes_no_engine() -> None:
    code = f"""
import gc
import {", ".join(PACKAGES)}
from sqlalchemy import Engine
assert not [thing for thing in gc.get_objects() if isinstance(thing, Engine)]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_the_pins_name_no_address_and_every_package_has_hashes() -> None:
    text = (ROOT / "requirements.txt").read_text("utf-8")
    assert "://" not in text
    assert "--index" not in text
    pins = [line for line in text.replace("\\\n", "").splitlines() if not line.lstrip().startswith("#")]
    assert all("--hash=sha256:" in pin and "==" in pin for pin in pins)


def test_the_pins_fit_what_the_project_asks_for() -> None:
    text = (ROOT / "requirements.txt").read_text("utf-8")
    pins = re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", text, re.MULTILINE)
    for requirement in bootstrap.requirements(tests=True):
        match = bootstrap.REQUIREMENT.fullmatch(requirement)
        assert match, requirement
        # Some have one for older and one for newer Pythons.
        versions = [version for name, version in pins if name == match["name"]]
        assert versions, requirement
        assert all(bootstrap.within(version, match["floor"], match["ceiling"]) for version in versions), requirement


def test_ci_and_pre_commit_run_the_same_commands() -> None:
    entries = re.findall(r"entry: (.+)", (ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    steps = re.findall(r"^step (.+)", (ROOT / ".ci/run").read_text("utf-8"), re.MULTILINE)
    assert entries
    assert set(entries) <= set(steps)
