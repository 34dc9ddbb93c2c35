"""Figures that outlive a kill: a file takes them workload by workload, and the same command goes on with what is left.

docs/performance.json        what `--json` prints: of every workload the figures that were taken last
docs/performance.json.left   while a command is not done: what it was asked for, and what of it is to be measured
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.bench import Sizes
from benchmarks.figures import Figure, Run
from benchmarks.report import as_json, from_json

ORDER = (("postgres", "on"), ("sqlite", "FULL"), ("sqlite", "NORMAL"))


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A workload on a database, at a level of durability."""

    database: str
    synchronous: str
    workload: str


class Kept:
    """The runs of this command and, with a file, those of others; `left` is what is still to be measured."""

    def __init__(self, file: Path | None, asked: Sequence[Part], sizes: Sizes) -> None:
        self.file = file
        self.left = list(asked)
        self.runs: list[Run] = []
        self._asked = {"sizes": asdict(sizes), "parts": [asdict(part) for part in asked]}
        if file is None:
            return
        self._to_do = file.with_name(file.name + ".left")
        if file.exists():
            self.runs = from_json(json.loads(file.read_text(encoding="utf-8")))
        if self._to_do.exists():
            begun = json.loads(self._to_do.read_text(encoding="utf-8"))
            if begun["asked"] == self._asked:
                self.left = [Part(**part) for part in begun["left"]]

    def add(self, part: Part, machine: Mapping[str, str], figures: Sequence[Figure]) -> None:
        """In the place of those of the same workload."""
        self.left.remove(part)
        measured = {figure.workload for figure in figures}
        where = (part.database, part.synchronous)
        run = Run(*where, machine, figures)
        for number, there in enumerate(self.runs):
            if (there.database, there.synchronous) == where:
                kept = [figure for figure in there.figures if figure.workload not in measured]
                merged = sorted([*kept, *figures], key=lambda figure: figure.workload)
                self.runs[number] = replace(there, machine=machine, figures=merged)
                break
        else:
            self.runs = sorted([*self.runs, run], key=lambda run: ORDER.index((run.database, run.synchronous)))
        self._write()

    def _write(self) -> None:
        if self.file is None:
            return
        _replace(self.file, as_json(self.runs))
        if self.left:
            _replace(self._to_do, {"asked": self._asked, "left": [asdict(part) for part in self.left]})
        else:
            self._to_do.unlink(missing_ok=True)


def _replace(file: Path, data: object) -> None:
    """Whole, or not at all."""
    new = file.with_name(file.name + ".new")
    new.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    new.replace(file)
