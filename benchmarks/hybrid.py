"""W6: words and vector together, of rare words and of frequent ones, against the vector alone."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median

import numpy as np

from benchmarks.bench import Bench
from benchmarks.figures import OURS, Figure, figure
from benchmarks.nearest import ROWS
from benchmarks.remembered import FREQUENT, Question, rare_words
from benchmarks.rounds import interleaved, timed
from repositories.search import build_indexes

KINDS = ("vector", "rare", "frequent")


async def measure(bench: Bench) -> list[Figure]:
    rows = bench.sizes.upto(ROWS)
    bench.say(f"remembering {rows:,}")
    await bench.remembered.grow(rows)
    await build_indexes(bench.database, bench.remembered.space)
    return [*await _scope(bench, rows, everything=True), *await _scope(bench, rows, everything=False)]


async def _scope(bench: Bench, rows: int, *, everything: bool) -> list[Figure]:
    scope = "all" if everything else "persona"
    bench.say(f"words and vector, {scope}")
    asked = bench.remembered.questions(bench.sizes.questions, far=False, everything=everything)
    random = np.random.default_rng(1)
    words: dict[str, Sequence[str | None]] = {
        "vector": [None] * len(asked),
        "rare": [rare_words(random) for _ in asked],
        "frequent": [FREQUENT] * len(asked),
    }
    samples = {kind: partial(_ask, bench, asked, words[kind]) for kind in KINDS}
    p50 = (await interleaved(samples, bench.sizes.rounds))["p50"]
    figures = [
        figure("W6", f"hybrid.ms.{scope}.{kind}", f"{scope}, {kind}, p50", "ms", {OURS: p50[kind]}, rows=rows)
        for kind in KINDS
    ]
    # The targets are about all rows, where the vector alone is quick.
    prefix = "hybrid" if everything else "hybrid.persona"
    for kind in KINDS[1:]:
        to_vector = [both / alone for both, alone in zip(p50[kind], p50["vector"], strict=True)]
        what = f"{scope}, {kind} words and vector to vector"
        figures.append(figure("W6", f"{prefix}.{kind}", what, "x", {OURS: to_vector}))
    return figures


async def _ask(bench: Bench, asked: Sequence[Question], words: Sequence[str | None]) -> Mapping[str, float]:
    took = [
        await timed(partial(bench.ours.recall, question.vector, question.persona, text))
        for question, text in zip(asked, words, strict=True)
    ]
    return {"p50": median(took) * 1_000}
