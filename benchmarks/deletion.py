"""W4: delete a conversation with its messages and memories."""

from collections.abc import Mapping
from functools import partial
from uuid import UUID

from benchmarks.bench import Bench
from benchmarks.calls import count_calls
from benchmarks.figures import Figure, counted, figure
from benchmarks.layers.work import Layer
from benchmarks.rounds import interleaved, timed
from repositories import UnitOfWork

MESSAGES, MEMORIES_A_MESSAGE = 10_000, 10


async def measure(bench: Bench) -> list[Figure]:
    messages = bench.sizes.upto(MESSAGES)
    bench.say(f"delete {messages:,} messages")

    async def sample(layer: Layer) -> Mapping[str, float]:
        talk = await _full_talk(bench, messages)
        return {"ms": await timed(partial(layer.delete, talk)) * 1_000}

    taken = await interleaved({layer.name: partial(sample, layer) for layer in bench.layers}, bench.sizes.rounds)
    counts = {}
    for layer in bench.layers:
        talks = iter([await _full_talk(bench, MEMORIES_A_MESSAGE) for _ in range(3)])
        counts[layer.name] = await count_calls(lambda: layer.delete(next(talks)), warm_up=1, repeats=1)  # noqa: B023
    memories = messages // MEMORIES_A_MESSAGE
    what = f"delete {messages:,} messages, {memories:,} memories"
    return [
        figure("W4", "deletion", what, "ms", taken["ms"], rows=messages),
        counted("W4", "deletion.statements", "delete, statements", "", {n: c.statements for n, c in counts.items()}),
        counted("W4", "deletion.trips", "delete, round trips", "", {n: c.round_trips for n, c in counts.items()}),
    ]


async def _full_talk(bench: Bench, messages: int) -> UUID:
    talk = await bench.new_talk(messages)
    rows = ({"content": f"Memory {n}.", "conversation_id": talk} for n in range(messages // MEMORIES_A_MESSAGE))
    async with UnitOfWork(bench.database) as uow:
        await uow.memories.remember_many(rows)
    return talk
