"""W2: the last fifty messages of a conversation, of a hundred messages and of a million."""

from functools import partial

from benchmarks.append import SIZES
from benchmarks.bench import Bench
from benchmarks.calls import count_calls
from benchmarks.figures import Figure, counted, figure
from benchmarks.rounds import interleaved, one_after_another


async def measure(bench: Bench) -> list[Figure]:
    times = bench.sizes.operations
    sizes = sorted({bench.sizes.upto(size) for size in SIZES})
    talks = {size: await bench.talk_of(size) for size in sizes}
    # All sizes in the same rounds: what is compared is how one grows beside the other.
    bench.say("last 50")
    samples = {
        f"{layer.name} {size}": partial(one_after_another, partial(layer.last, talk), times)
        for size, talk in talks.items()
        for layer in bench.layers
    }
    p50 = (await interleaved(samples, bench.sizes.rounds))["p50"]
    figures = [
        figure("W2", "history.last", "last 50, p50", "ms", {n: p50[f"{n} {size}"] for n in names(bench)}, rows=size)
        for size in sizes
    ]
    small, large = sizes[0], sizes[-1]
    flat = {
        name: [late / early for late, early in zip(p50[f"{name} {large}"], p50[f"{name} {small}"], strict=True)]
        for name in names(bench)
    }
    figures.append(figure("W2", "history.flat", f"last 50, {large:,} against {small:,}", "", flat, compared=False))
    counts = {layer.name: await count_calls(partial(layer.last, talks[small])) for layer in bench.layers}
    return [
        *figures,
        counted("W2", "history.calls", "last 50, function calls", "", {n: c.function_calls for n, c in counts.items()}),
        counted("W2", "history.statements", "last 50, statements", "", {n: c.statements for n, c in counts.items()}),
        counted("W2", "history.trips", "last 50, round trips", "", {n: c.round_trips for n, c in counts.items()}),
    ]


def names(bench: Bench) -> list[str]:
    return [layer.name for layer in bench.layers]
