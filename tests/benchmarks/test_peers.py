"""The comparison with peers, of whom none is installed here: they are left out, and what is here is measured."""

import importlib.util

import pytest
from rich.progress import Progress

from benchmarks.bench import Sizes
from benchmarks.figures import CORE, LIMIT, OURS, Run
from benchmarks.kept import Part
from benchmarks.page import tables
from benchmarks.peers.__main__ import LEVELS, PEERS, measure
from benchmarks.peers.report import as_markdown, as_table
from benchmarks.report import as_json, as_text


@pytest.mark.slow
async def test_who_is_not_installed_is_left_out(
    backend: str, fresh_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    db = "sqlite" if backend == "sqlite" else "postgres"
    part = Part(db, LEVELS[db], "peers")
    with Progress(disable=True) as progress:
        machine, figures = await measure(part, fresh_url, Sizes(rounds=1, rows=3, operations=1, agents=2), progress)
    run = Run(db, part.synchronous, machine, figures)

    assert [list(figure.layers) for figure in run.figures] == [[LIMIT, CORE, OURS]] * 4
    assert "this project" in as_text(as_table([run]))
    assert "| this project | " in as_markdown([run])
    assert tables(as_json([run]))[0] == "peers"
    assert "google_adk is not installed" in " ".join(capsys.readouterr().err.split())


def test_every_peer_has_its_file() -> None:
    assert all(importlib.util.find_spec(f"benchmarks.peers.{module}") for module, _ in PEERS.values())
