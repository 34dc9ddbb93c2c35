"""W3: many messages of one conversation at once, in one transaction."""

from collections.abc import Mapping
from functools import partial

from benchmarks.bench import Bench, texts
from benchmarks.figures import Figure, figure
from benchmarks.layers.work import Layer
from benchmarks.rounds import interleaved, timed

ROWS = 20_000


async def measure(bench: Bench) -> list[Figure]:
    rows = bench.sizes.upto(ROWS)
    bench.say(f"bulk import of {rows:,}")

    async def sample(layer: Layer) -> Mapping[str, float]:
        talk, messages = await bench.new_talk(), texts(rows)
        return {"rows": rows / await timed(partial(layer.store, talk, messages))}

    taken = await interleaved({layer.name: partial(sample, layer) for layer in bench.layers}, bench.sizes.rounds)
    return [figure("W3", "bulk", "bulk import", "rows/s", taken["rows"], rows=rows)]
