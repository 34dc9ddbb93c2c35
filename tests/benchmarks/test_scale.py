"""The run that fills one PostgreSQL: it goes as far as it may, goes on where it stopped, and tells how flat it was."""

import json
import math
from pathlib import Path

import pytest
from rich.progress import Progress

from benchmarks.report import as_text
from benchmarks.scale import growth
from benchmarks.scale.growth import BUILDING, REMEMBERING, Growth
from benchmarks.scale.measuring import Step, Took
from benchmarks.scale.report import as_json, as_markdown, as_table, flatness, from_json
from tests.support import on_postgresql


def step(messages: int, ms: float) -> Step:
    seconds = {REMEMBERING: 10.0, BUILDING: 30.0}
    took = {"append": Took(ms, 2 * ms, 3 * ms, 5)}
    return Step(messages, 10_000, seconds, took, {"recall@10, all": 1.0}, {"pk_messages": 5_000_000})


def growing(folder: Path, *steps: Step) -> Growth:
    return Growth(3_000, 2_000, 8, 600, 10, folder / "scale.json", Progress(disable=True), steps=list(steps))


def test_it_tells_how_flat_a_call_stayed() -> None:
    steps = [step(1_000, 2.0), step(10_000, 2.5)]

    assert flatness(steps) == {"append": 1.25}
    assert "| append | 2.00 / 4.00 | 2.50 / 5.00 | 1.25x |" in as_markdown({}, steps).splitlines()
    assert "1.25x" in as_text(as_table(steps))
    assert flatness(steps[:1]) == {}
    assert from_json(json.loads(json.dumps(as_json({}, steps)))["steps"]) == steps


def test_the_time_that_is_left_says_how_many_memories_there_will_be(tmp_path: Path) -> None:
    """Ten thousand took forty seconds."""
    grown = growing(tmp_path, step(1_000, 2.0))

    assert grown._affordable(100_000, 1_000) == 100_000
    assert math.isclose(grown._affordable(1_000_000, 400), 100_000 / growth.CAUTION, rel_tol=0.02)
    assert grown._affordable(100_000, -1) == 10_000
    assert growing(tmp_path)._affordable(100_000, 1) == 100_000


@pytest.mark.slow
@on_postgresql
async def test_it_measures_and_goes_on(fresh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = growing(tmp_path)
    monkeypatch.setattr(growth, "PARTS", (0.5,))
    await first.go(fresh_url)
    [half] = first.steps

    monkeypatch.setattr(growth, "PARTS", (0.5, 1))
    second = growing(tmp_path)
    await second.go(fresh_url)

    assert second.steps[0] == half
    assert [(step.messages, step.memories) for step in second.steps] == [(1_500, 1_000), (3_000, 2_000)]
    assert set(second.steps[-1].recall.values()) == {1.0}
    assert {"append", "last 50", "recall, persona", "recall, all"} <= second.steps[-1].took.keys()
