"""The comparison with peers, of whom none is installed here: they are left out, and what is here is measured."""

import importlib.util

import pytest
from rich.progress import Progress

from benchmarks.bench import Sizes
from benchmarks.figures import CORE, LIMIT, OURS
from benchmarks.peers.__main__ import PEERS, as_table, measure
from benchmarks.report import as_text


@pytest.mark.slow
async def test_who_is_not_installed_is_left_out(
    backend: str, fresh_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    db = "sqlite" if backend == "sqlite" else "postgres"
    with Progress(disable=True) as progress:
        run = await measure(db, fresh_url, Sizes(rounds=1, rows=3, operations=1, agents=2), progress)

    assert [list(figure.layers) for figure in run.figures] == [[LIMIT, CORE, OURS]] * 4
    assert "this project" in as_text(as_table(run))
    assert "google_adk is not installed" in " ".join(capsys.readouterr().err.split())


def test_every_peer_has_its_file() -> None:
    assert all(importlib.util.find_spec(f"benchmarks.peers.{module}") for module, _ in PEERS.values())
