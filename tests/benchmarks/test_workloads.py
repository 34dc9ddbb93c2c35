"""Every workload runs, tiny, on both databases: what it takes is not asserted, what it must not lose is."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.progress import Progress

from benchmarks import page, plots
from benchmarks.__main__ import measure
from benchmarks.bench import Sizes
from benchmarks.figures import CORE, LIMIT, OURS, Run, counted, figure
from benchmarks.kept import Kept, Part
from benchmarks.report import as_json, as_markdown, as_table, as_text, from_json, missed
from benchmarks.targets import TARGETS
from benchmarks.workloads import WORKLOADS

TINY = Sizes(rounds=1, rows=100, operations=1, seconds=0.01, dimensions=8, questions=2, agents=3, personas=4)
LAYERS = {LIMIT, CORE, OURS}


@pytest.mark.slow
async def test_every_workload_measures_every_layer(backend: str, fresh_url: str) -> None:
    db = "sqlite" if backend == "sqlite" else "postgres"
    parts = [Part(db, "FULL" if db == "sqlite" else "on", name) for name in WORKLOADS]
    kept = Kept(None, parts, TINY)
    with Progress(disable=True) as progress:
        failed = await measure(fresh_url, parts, TINY, progress, kept)

    [run] = kept.runs
    assert failed == []
    assert {figure.workload for figure in run.figures} == {name.upper() for name in WORKLOADS}
    assert all(value >= 0 for figure in run.figures for value in figure.layers.values())
    found = {figure.key: figure for figure in run.figures}
    assert TARGETS[db].keys() <= found.keys()
    whole = {
        "append.serial",
        "append.writers",
        "history.last",
        "bulk",
        "deletion",
        "nearest.persona",
        "agents.saturated",
    }
    assert all(found[key].layers.keys() == LAYERS for key in whole)
    # What is so quick because it does less would not be worth a comparison.
    for scope in ("persona", "all"):
        assert found[f"nearest.recall.{scope}.near"].layers == dict.fromkeys(LAYERS, 1)
    assert set(found["deletion.statements"].layers.values()) <= {1, 2, 3}


@pytest.fixture
def runs() -> Sequence[Run]:
    taken = {LIMIT: [1.0, 2.0, 4.0], CORE: [2.0, 4.0, 8.0], OURS: [1.6, 3.2, 12.0]}
    sizes = [figure("W2", "history.last", "last 50, p50", "ms", taken, rows=rows) for rows in (100, 10_000)]
    calls = counted("W1", "append.calls", "function calls", "", {LIMIT: 340, CORE: 581, OURS: 700})
    return [Run("postgres", "on", {"processor": "two cores"}, [calls, *sizes])]


def test_each_round_is_compared_with_its_own_limit(runs: Sequence[Run]) -> None:
    last = runs[0].figures[1]

    assert last.layers == {LIMIT: 2.0, CORE: 4.0, OURS: 3.2}
    assert last.ratios == {LIMIT: 1.0, CORE: 2.0, OURS: 1.6}


def test_a_figure_is_held_against_its_target(runs: Sequence[Run]) -> None:
    assert missed(runs) == ["PostgreSQL, synchronous on: W1 function calls"]
    calls, last = as_json(runs)[0]["figures"][:2]
    assert (calls["judged"], calls["must_met"], calls["goal_met"]) == (700, False, False)
    assert (last["judged"], last["must_met"], last["goal_met"]) == (1.6, True, False)
    assert from_json(json.loads(json.dumps(as_json(runs)))) == runs


def test_it_is_shown_to_people(runs: Sequence[Run]) -> None:
    line = "| W2 | last 50, p50 (10,000), ms | 2 | 4 · 2.00x | 3.20 · 1.60x | ≤ 2.2x | ≤ 1.5x | must |"
    assert as_markdown(runs).splitlines()[-1] == line
    assert "W1   function calls" in as_text(as_table(runs))


def test_a_page_takes_the_table(runs: Sequence[Run], tmp_path: Path) -> None:
    result, written = tmp_path / "result.json", tmp_path / "page.md"
    result.write_text(json.dumps(as_json(runs)), encoding="utf-8")
    written.write_text("Before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n", encoding="utf-8")

    page.command(result, written)
    page.command(result, written)

    text = written.read_text("utf-8")
    assert text == f"Before\n<!-- figures -->\n{as_markdown(runs)}\n<!-- /figures -->\nafter\n"


@pytest.mark.slow
def test_it_is_drawn(runs: Sequence[Run], tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    result.write_text(json.dumps(as_json(runs)), encoding="utf-8")

    plots.command(result, tmp_path / "drawn")

    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {
        f"{name}.{kind}" for name in ("ratios", "growth") for kind in ("png", "svg")
    }
