"""W5: recall the ten nearest of a hundred thousand memories, within a persona and of all; near questions and far."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean, median

from benchmarks.bench import Bench
from benchmarks.calls import count_calls
from benchmarks.figures import OURS, Figure, counted, figure
from benchmarks.layers.work import Layer
from benchmarks.remembered import Question, share
from benchmarks.rounds import interleaved
from repositories.search import build_indexes

ROWS = 100_000
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)


async def measure(bench: Bench, rows: int = ROWS) -> list[Figure]:
    """Up to `rows` memories; a million of them takes an index of an hour, and is asked for by name."""
    rows = bench.sizes.upto(rows)
    figures = []
    for size in sorted({min(size, rows) for size in SIZES}):
        bench.say(f"remembering {size:,}")
        await bench.remembered.grow(size)
        bench.say(f"recall of {size:,}")
        asked = bench.remembered.questions(bench.sizes.questions, far=False, everything=False)
        # Each persona once: what a process has not met yet is slower on SQLite, which holds codes of what it has read.
        first = await _ask(bench.ours, list({question.persona: question for question in asked}.values()))
        what = "recall in a persona for the first time, p50"
        figures.append(figure("W5", "nearest.first", what, "ms", {OURS: [first["p50"]]}, rows=size))
        taken = await interleaved({OURS: partial(_ask, bench.ours, asked)}, bench.sizes.rounds)
        what = "recall in a persona of so many, p50"
        figures.append(figure("W5", "nearest.growth", what, "ms", taken["p50"], rows=size))
    bench.say("index of the memories")
    await build_indexes(bench.database, bench.remembered.space)
    for scope in ("persona", "all"):
        for distance in ("near", "far"):
            figures += await _scope(bench, scope, distance, rows)
    [question] = bench.remembered.questions(1, far=False, everything=False)
    counts = {
        layer.name: await count_calls(partial(layer.recall, question.vector, question.persona))
        for layer in bench.layers
    }
    return [
        *figures,
        counted("W5", "nearest.calls", "recall, function calls", "", {n: c.function_calls for n, c in counts.items()}),
        counted("W5", "nearest.statements", "recall, statements", "", {n: c.statements for n, c in counts.items()}),
        counted("W5", "nearest.trips", "recall, round trips", "", {n: c.round_trips for n, c in counts.items()}),
    ]


async def _scope(bench: Bench, scope: str, distance: str, rows: int) -> list[Figure]:
    bench.say(f"recall, {scope}, {distance}")
    everything = scope == "all"
    asked = bench.remembered.questions(bench.sizes.questions, far=distance == "far", everything=everything)
    # Core on SQLite reads all rows for each question: two of them tell, and forty would take an hour.
    few = asked[:2] if everything and bench.db == "sqlite" else asked
    samples = {layer.name: partial(_ask, layer, few if layer is bench.core else asked) for layer in bench.layers}
    taken = await interleaved(samples, bench.sizes.rounds)
    near = "" if distance == "near" else ".far"
    what = f"recall, {scope}, {distance}"
    return [
        figure("W5", f"nearest.{scope}{near}", f"{what}, p50", "ms", taken["p50"], rows=rows),
        figure("W5", f"nearest.recall.{scope}.{distance}", f"{what}, recall@10", "", taken["recall"], compared=False),
    ]


async def _ask(layer: Layer, asked: Sequence[Question]) -> Mapping[str, float]:
    took, shares = [], []
    for question in asked:
        start = time.perf_counter()
        found = await layer.recall(question.vector, question.persona)
        took.append(time.perf_counter() - start)
        shares.append(share(found, question))
    return {"p50": median(took) * 1_000, "recall": fmean(shares)}
