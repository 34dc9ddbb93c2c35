"""How figures are taken: round after round, in each of them every layer, so that a busy moment meets them all."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from statistics import median

from benchmarks.calls import Operation

Sample = Callable[[], Awaitable[Mapping[str, float]]]
"""Does some of the work; gives what it measured, by name."""

Taken = dict[str, dict[str, list[float]]]
"""By what was measured, by layer: one number a round."""


async def interleaved(samples: Mapping[str, Sample], rounds: int) -> Taken:
    """Each round begins with another layer; the first one, which warms everything up, is not counted."""
    taken: Taken = {}
    layers = list(samples)
    for number in range(rounds + 1):
        first = number % len(layers)
        for layer in layers[first:] + layers[:first]:
            measured = await samples[layer]()
            if number:
                for name, value in measured.items():
                    taken.setdefault(name, {layer: [] for layer in layers})[layer].append(value)
    return taken


async def one_after_another(operation: Operation, times: int) -> Mapping[str, float]:
    """The median of an operation, and the processor's time for one, in milliseconds."""
    took = []
    processor = time.process_time()
    for _ in range(times):
        took.append(await timed(operation))
    return {"p50": median(took) * 1_000, "cpu": (time.process_time() - processor) / times * 1_000}


async def side_by_side(operations: Sequence[Operation], times: int) -> Mapping[str, float]:
    """Each of them, again and again, in a task of its own: operations a second."""

    async def again(operation: Operation) -> None:
        for _ in range(times):
            await operation()

    start = time.perf_counter()
    await asyncio.gather(*map(again, operations))
    return {"tps": len(operations) * times / (time.perf_counter() - start)}


async def timed(operation: Operation) -> float:
    start = time.perf_counter()
    await operation()
    return time.perf_counter() - start
