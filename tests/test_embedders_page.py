"""What docs/embedders.md shows runs, on both databases."""

import re
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest

from database import Database
from repositories import Embedder, UnitOfWork
from scripts.app import COMMANDS

PAGE = (Path(__file__).parents[1] / "docs/embedders.md").read_text("utf-8")

BEGINNING = """
import asyncio
from collections.abc import Sequence
import numpy as np
from numpy.typing import NDArray
from repositories import UnitOfWork
"""


def shown(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, name
    return found[1]


class Model:
    def __init__(self, name: str = "") -> None:
        self.name = name

    def encode(self, texts: list[str]) -> object:
        return np.ones((len(texts), 384), dtype=np.float32)

    def get_sentence_embedding_dimension(self) -> int:
        return 384


async def test_an_embedder_of_six_lines_stores_its_vectors(fresh_database: Database) -> None:
    names: dict[str, object] = {"model": Model()}
    exec(BEGINNING + shown("embedder"), names)
    exec("async def run(database):\n" + textwrap.indent(shown("append"), "    "), names)
    run, ours = names["run"], names["Ours"]
    assert isinstance(run, types.FunctionType)
    assert isinstance(ours, type)
    assert isinstance(ours(), Embedder)
    await run(fresh_database)
    async with UnitOfWork(fresh_database) as uow:
        space = await uow.embedding_spaces.get_by_name("our-model-2")
        assert len(await uow.memories.recall([1.0] * 384, space=space)) == 1
        assert await uow.fetch_value("SELECT count(*) FROM message_embeddings") == 1


def test_the_adapters_are_made_as_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "-")
    library = types.ModuleType("sentence_transformers")
    library.SentenceTransformer = Model  # type: ignore[attr-defined]  # a module of the test's
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    exec(shown("adapters"), {})


def test_its_commands_are_commands() -> None:
    named = set(re.findall(r"python3 -m scripts ([a-z-]+)", PAGE))
    assert {"reembed", "index"} <= named <= set(COMMANDS)
