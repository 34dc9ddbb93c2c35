"""W1: append one message in one transaction of its own; alone, by twenty writers at once, and as the store grows."""

from functools import partial

from benchmarks.bench import TEXT, Bench
from benchmarks.calls import Operation, count_calls
from benchmarks.figures import LIMIT, OURS, Figure, counted, figure
from benchmarks.layers.work import Layer
from benchmarks.rounds import interleaved, one_after_another, side_by_side
from repositories import MessageWriter

GROUP = "group"
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)


async def measure(bench: Bench) -> list[Figure]:
    figures = [*await _alone(bench), *await _at_once(bench)]
    # A million messages take their time to store, and once is enough to see whether it grows.
    return figures + await _growing(bench) if bench.thorough else figures


async def _alone(bench: Bench) -> list[Figure]:
    bench.say("append")
    times = bench.sizes.operations
    talks = {layer.name: await bench.new_talk() for layer in bench.layers}
    samples = {
        layer.name: partial(one_after_another, partial(layer.append, talks[layer.name], TEXT), times)
        for layer in bench.layers
    }
    taken = await interleaved(samples, bench.sizes.rounds)
    counts = {layer.name: await count_calls(partial(layer.append, talks[layer.name], TEXT)) for layer in bench.layers}
    return [
        figure("W1", "append.serial", "append, p50", "ms", taken["p50"]),
        figure("W1", "append.cpu", "append, processor", "ms", taken["cpu"]),
        counted("W1", "append.calls", "append, function calls", "", {n: c.function_calls for n, c in counts.items()}),
        counted("W1", "append.statements", "append, statements", "", {n: c.statements for n, c in counts.items()}),
        counted("W1", "append.trips", "append, round trips", "", {n: c.round_trips for n, c in counts.items()}),
    ]


async def _at_once(bench: Bench) -> list[Figure]:
    bench.say(f"{bench.sizes.agents} writers")
    talks = [await bench.new_talk() for _ in range(bench.sizes.agents)]
    times = max(1, bench.sizes.operations // 8)

    def operations(layer: Layer) -> list[Operation]:
        return [partial(layer.append, talk, TEXT) for talk in talks]

    samples = {layer.name: partial(side_by_side, operations(layer), times) for layer in bench.layers}
    async with MessageWriter(bench.database) as writer:
        together: list[Operation] = [partial(writer.append, talk, role="user", content=TEXT) for talk in talks]
        samples[GROUP] = partial(side_by_side, together, times)
        tps = (await interleaved(samples, bench.sizes.rounds))["tps"]
    grouped = {LIMIT: tps[LIMIT], OURS: tps.pop(GROUP)}
    return [
        figure("W1", "append.writers", f"{len(talks)} writers", "tps", tps),
        figure("W1", "append.group", f"{len(talks)} writers, group write", "tps", grouped),
    ]


async def _growing(bench: Bench) -> list[Figure]:
    """All sizes in the same rounds: what is compared is how one does beside the other."""
    times = max(1, bench.sizes.operations // 4)
    sizes = sorted({bench.sizes.upto(size) for size in SIZES})
    talks = {size: await bench.talk_of(size) for size in sizes}
    bench.say("append behind so many")
    samples = {
        str(size): partial(one_after_another, partial(bench.ours.append, talk, TEXT), times)
        for size, talk in talks.items()
    }
    p50 = (await interleaved(samples, bench.sizes.rounds))["p50"]
    what = "append behind so many, p50"
    return [figure("W1", "append.growth", what, "ms", {OURS: p50[str(size)]}, rows=size) for size in sizes]
