"""The steps side by side: what each call took, how flat it stayed, and how large everything became."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType

from benchmarks.report import described, markdown_table
from benchmarks.scale.measuring import Step, Took
from scripts.tables import number, table


def as_json(machine: Mapping[str, str], steps: Sequence[Step]) -> dict[str, Any]:
    return {"machine": dict(machine), "steps": [asdict(step) for step in steps], "last_to_first": flatness(steps)}


def from_json(data: Sequence[Mapping[str, Any]]) -> list[Step]:
    return [Step(**{**step, "took": {name: Took(**took) for name, took in step["took"].items()}}) for step in data]


def flatness(steps: Sequence[Step]) -> dict[str, float]:
    """The median of each call at the last step, divided by that of the first one."""
    took = {name: [step.took[name].p50 for step in steps if name in step.took] for name in calls(steps)}
    return {name: values[-1] / values[0] for name, values in took.items() if len(values) > 1}


def calls(steps: Sequence[Step]) -> Sequence[str]:
    return list(steps[-1].took) if steps else []


def lines(steps: Sequence[Step]) -> list[list[list[str]]]:
    """Three tables, each with its head: the calls, the time that filling took, the sizes."""
    heads = [f"{step.messages:,}" for step in steps]
    memories = ["memories", *(f"{step.memories:,}" for step in steps)]
    flat = flatness(steps)
    rows = [["messages; p50 / p95, ms", *heads, "last to first"], [*memories, ""]]
    for name in calls(steps):
        grown = f"{flat[name]:.2f}x" if name in flat else ""
        rows.append([name, *(_took(step.took.get(name)) for step in steps), grown])
    for name in steps[-1].recall:
        rows.append([name, *(f"{step.recall[name]:.3f}" for step in steps), ""])
    seconds = [["messages; seconds", *heads], memories]
    for name in steps[-1].seconds:
        seconds.append([name, *(f"{step.seconds.get(name, 0):,.0f}" for step in steps)])
    sizes = [["messages; MB", *heads], memories]
    for name in steps[-1].bytes:
        sizes.append([_named(name), *(f"{step.bytes.get(name, 0) / 1e6:,.0f}" for step in steps)])
    return [rows, seconds, sizes]


def _named(name: str) -> str:
    """An approximate index has the id of its space behind it."""
    return re.sub("_[0-9a-f]{32}$", "", name)


def as_table(steps: Sequence[Step]) -> RenderableType:
    shown = []
    for head, *rows in lines(steps):
        part = table(head[0], *map(number, head[1:]))
        for row in rows:
            part.add_row(*row)
        shown.append(part)
    return Group(*shown)


def as_markdown(machine: Mapping[str, str], steps: Sequence[Step]) -> str:
    return "\n\n".join([described(machine), *(markdown_table(head, rows) for head, *rows in lines(steps))])


def _took(took: Took | None) -> str:
    return "" if took is None else f"{took.p50:,.2f} / {took.p95:,.2f}"
