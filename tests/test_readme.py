"""The README's own text: what it shows runs, on both databases, and what it points at is there."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import httpx
import pytest

from database import Database
from database.url import parse_url
from repositories import UnitOfWork
from scripts.app import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def shown(name: str) -> str:
    """The block of Python that follows `<!-- name -->`."""
    found = re.search(rf"<!-- {re.escape(name)} -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found is not None, name
    return found[1]


def run(program: str, folder: Path) -> str:
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


async def test_quickstart(tmp_path: Path, backend: str, empty_url: str) -> None:
    program = shown("quickstart")
    assert len(program.strip().splitlines()) <= 22
    if backend == "postgresql":
        theirs = shown("quickstart: postgresql").rstrip("\n")
        ours = next(line for line in program.splitlines() if "Database(" in line)
        url = re.search(r'Database\("(.*)"\)', theirs)
        assert url is not None
        assert parse_url(url[1]).get_backend_name() == "postgresql"
        program = program.replace(ours, theirs.replace(url[1], empty_url))
    lines = run(program, tmp_path).splitlines()
    assert lines == ["1 user I live in Oslo.", "2 assistant Since when?"]
    assert (tmp_path / "chat.db").exists() == (backend == "sqlite")


async def test_remember_and_recall(fresh_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    exec("from uuid import UUID\nfrom database import Database\nfrom repositories import UnitOfWork\n", names)
    exec(shown("recall"), names)
    async with UnitOfWork(fresh_database) as uow:
        chat = await uow.conversations.create(title="x")
    remember = names["remember"]
    assert isinstance(remember, types.FunctionType)
    await remember(fresh_database, chat.id)
    assert capsys.readouterr().out == "0.99 Ada lives in Oslo.\n"


async def test_run(fresh_database: Database) -> None:
    names: dict[str, object] = {}
    exec("from uuid import UUID, uuid4\nfrom database import Database\nfrom repositories import UnitOfWork\n", names)
    exec(shown("run"), names)
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        chat = await uow.conversations.create(title="x")
    say = names["say"]
    assert isinstance(say, types.FunctionType)
    assert [await say(fresh_database, chat.id, text) for text in ("Hello.", "Are you there?")] == [1, 2]


async def test_fastapi(fresh_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_url)
    module = types.ModuleType("application")
    exec(shown("fastapi"), module.__dict__)
    async with module.lifespan(module.app):
        async with UnitOfWork(module.database, owner_id="ada") as uow:
            chat = await uow.conversations.create(title="x")
        transport = httpx.ASGITransport(module.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answers = [
                await client.post(f"/conversations/{chat.id}/messages", params={"text": "hi"}, headers={"user": "ada"})
                for _ in range(2)
            ]
            assert [answer.json() for answer in answers] == [1, 2]
        async with UnitOfWork(module.database, owner_id="ada") as uow:
            assert len(await uow.messages.history(chat.id)) == 2


def test_what_it_points_at_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert links
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_its_commands_are_commands() -> None:
    named = set(re.findall(r"python3? -m scripts ([a-z][a-z-]+)", README))
    assert {"demo", "test"} <= named <= set(COMMANDS)


def test_the_diagram_is_current() -> None:
    check = [sys.executable, "-m", "paracelsus.cli", "inject", "README.md", "--check"]
    ran = subprocess.run(check, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert ran.returncode == 0, "run `paracelsus inject README.md`"
