"""The workloads by their names, in the order in which they are run."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from benchmarks import agents, append, bulk, deletion, history, hybrid, nearest
from benchmarks.bench import Bench
from benchmarks.figures import Figure


@dataclass(frozen=True, slots=True)
class Workload:
    """`writes`: it does little else, so that how durable a commit is makes a difference to it."""

    measure: Callable[[Bench], Awaitable[list[Figure]]]
    writes: bool


WORKLOADS: Mapping[str, Workload] = {
    "w1": Workload(append.measure, writes=True),
    "w2": Workload(history.measure, writes=False),
    "w3": Workload(bulk.measure, writes=True),
    "w4": Workload(deletion.measure, writes=True),
    "w5": Workload(nearest.measure, writes=False),
    "w6": Workload(hybrid.measure, writes=False),
    "w7": Workload(agents.measure, writes=False),
}
