"""W7: twenty agents that append, read the last fifty and recall; with half a second to think, and without."""

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from itertools import cycle
from uuid import UUID

import numpy as np

from benchmarks.bench import TEXT, Bench
from benchmarks.figures import Figure, figure
from benchmarks.layers.work import LAST, Layer
from benchmarks.nearest import ROWS
from benchmarks.remembered import Question
from benchmarks.rounds import Sample, interleaved, timed

THINKING = 0.5
"""Seconds between two turns of an agent: twenty do about 118 operations a second so."""

STEPS = ("append", "last", "recall")
NAMES = {"append": "append", "last": "last 50", "recall": "recall"}
PERCENTILES = (50, 95, 99)


async def measure(bench: Bench) -> list[Figure]:
    rows, agents = bench.sizes.upto(ROWS), bench.sizes.agents
    bench.say(f"remembering {rows:,}")
    await bench.remembered.grow(rows)
    talks = [await bench.new_talk(LAST) for _ in range(agents)]
    asked = bench.remembered.questions(max(agents, bench.sizes.questions), far=False, everything=False)

    def samples(thinking: float) -> dict[str, Sample]:
        return {
            layer.name: partial(_turns, layer, talks, asked, thinking, bench.sizes.seconds) for layer in bench.layers
        }

    bench.say(f"{agents} agents")
    calm = await interleaved(samples(THINKING), bench.sizes.rounds)
    bench.say(f"{agents} agents without a pause")
    busy = await interleaved(samples(0), bench.sizes.rounds)
    figures = [figure("W7", "agents.rate", f"{agents} agents, rate", "ops/s", calm["rate"])]
    for step in STEPS:
        for percentile in PERCENTILES:
            key = f"agents.{step}" if percentile == 99 else f"agents.{step}.p{percentile}"
            what = f"{agents} agents, {NAMES[step]}, p{percentile}"
            figures.append(figure("W7", key, what, "ms", calm[f"{step} {percentile}"]))
    return [*figures, figure("W7", "agents.saturated", f"{agents} agents, saturated", "ops/s", busy["rate"])]


async def _turns(
    layer: Layer, talks: list[UUID], asked: list[Question], thinking: float, seconds: float
) -> Mapping[str, float]:
    took: dict[str, list[float]] = {step: [] for step in STEPS}
    end = time.perf_counter() + seconds

    async def agent(number: int, talk: UUID) -> None:
        # Not all at the same moment.
        await asyncio.sleep(min(thinking * number / len(talks), seconds))
        questions = cycle(asked[number:] + asked[:number])
        for question in questions:
            took["append"].append(await timed(partial(layer.append, talk, TEXT)))
            took["last"].append(await timed(partial(layer.last, talk)))
            took["recall"].append(await timed(partial(layer.recall, question.vector, question.persona)))
            if time.perf_counter() + thinking > end:
                return
            await asyncio.sleep(thinking)

    start = time.perf_counter()
    await asyncio.gather(*(agent(number, talk) for number, talk in enumerate(talks)))
    # The time to think after the last turn belongs to it.
    lasted = max(seconds, time.perf_counter() - start)
    measured = {"rate": sum(map(len, took.values())) / lasted}
    for step, times in took.items():
        for percentile in PERCENTILES:
            measured[f"{step} {percentile}"] = float(np.percentile(times, percentile)) * 1_000
    return measured
