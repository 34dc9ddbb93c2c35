"""Figures are kept workload by workload: a command that was stopped goes on, and what others measured stays."""

import json
from pathlib import Path

from benchmarks.bench import Sizes
from benchmarks.figures import OURS, Figure, Run, counted
from benchmarks.kept import Kept, Part
from benchmarks.report import from_json

SIZES = Sizes()
APPEND, LAST = Part("postgres", "on", "w1"), Part("postgres", "on", "w2")
LITE = Part("sqlite", "FULL", "w1")


def found(part: Part, value: float) -> list[Figure]:
    return [counted(part.workload.upper(), f"{part.workload}.calls", "calls", "", {OURS: value})]


def read(file: Path) -> list[Run]:
    return from_json(json.loads(file.read_text("utf-8")))


def values(run: Run) -> dict[str, float]:
    return {figure.workload: figure.layers[OURS] for figure in run.figures}


def test_a_figure_is_in_the_file_as_soon_as_it_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    kept = Kept(file, [LITE, LAST, APPEND], SIZES)

    kept.add(LITE, {"load": "1"}, found(LITE, 1))
    kept.add(LAST, {"load": "2"}, found(LAST, 2))

    assert [(run.database, values(run)) for run in read(file)] == [("postgres", {"W2": 2}), ("sqlite", {"W1": 1})]


def test_the_same_command_goes_on_after_a_stop(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    Kept(file, [APPEND, LAST], SIZES).add(APPEND, {}, found(APPEND, 1))

    again = Kept(file, [APPEND, LAST], SIZES)
    assert again.left == [LAST]
    again.add(LAST, {}, found(LAST, 2))

    assert [values(run) for run in read(file)] == [{"W1": 1, "W2": 2}]
    # It was done: now it is begun anew.
    assert Kept(file, [APPEND, LAST], SIZES).left == [APPEND, LAST]
    assert list(tmp_path.iterdir()) == [file]


def test_another_command_begins_with_all_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    Kept(file, [APPEND, LAST], SIZES).add(APPEND, {}, found(APPEND, 1))

    assert Kept(file, [APPEND], SIZES).left == [APPEND]
    assert Kept(file, [APPEND, LAST], Sizes(rounds=3)).left == [APPEND, LAST]


def test_a_workload_takes_the_place_of_its_last_figures_only(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    first = Kept(file, [APPEND, LAST, LITE], SIZES)
    for part in (APPEND, LAST, LITE):
        first.add(part, {"load": "1"}, found(part, 1))

    Kept(file, [LAST], SIZES).add(LAST, {"load": "2"}, found(LAST, 2))

    postgres, sqlite = read(file)
    assert (values(postgres), values(sqlite)) == ({"W1": 1, "W2": 2}, {"W1": 1})
    assert (postgres.machine, sqlite.machine) == ({"load": "2"}, {"load": "1"})


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    kept = Kept(None, [APPEND], SIZES)
    kept.add(APPEND, {}, found(APPEND, 1))

    assert kept.left == []
    assert [values(run) for run in kept.runs] == [{"W1": 1}]
