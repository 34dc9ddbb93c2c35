"""`python -m benchmarks.peers`: appending and reading back beside what others do, in the same rounds."""

import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from benchmarks.bench import TEXT, Bench, Sizes, opened, place
from benchmarks.figures import Figure, figure
from benchmarks.kept import Kept, Part
from benchmarks.machine import describe
from benchmarks.peers.ours import AsPeer
from benchmarks.peers.peer import Peer
from benchmarks.peers.report import as_markdown, as_table
from benchmarks.recall import Databases
from benchmarks.report import as_json, shown
from benchmarks.rounds import interleaved, one_after_another, side_by_side
from scripts.console import AsJson, emit, err, run, say

PEERS = {
    "OpenAiSqlAlchemy": ("openai_agents", ("postgres", "sqlite")),
    "OpenAiSqlite": ("openai_agents", ("sqlite",)),
    "GoogleAdk": ("google_adk", ("postgres", "sqlite")),
    "LangGraphSaver": ("langgraph_postgres", ("postgres",)),
    "LangGraphStore": ("langgraph_postgres", ("postgres",)),
    "AdvancedAlchemy": ("advanced_alchemy", ("postgres", "sqlite")),
}
"""The class, its file, and the databases that it knows."""

LEVELS = {"postgres": "on", "sqlite": "FULL"}
WHOLE = Sizes(rows=1_000, operations=50)


def command(
    db: Annotated[Databases, typer.Option(help="Where to measure.")] = Databases.BOTH,
    rounds: Annotated[int, typer.Option(min=1, help="Of each, one after the other.")] = WHOLE.rounds,
    rows: Annotated[int, typer.Option(min=1, help="Messages of the conversation that is read.")] = WHOLE.rows,
    operations: Annotated[int, typer.Option(min=1, help="Of each in a round.")] = WHOLE.operations,
    writers: Annotated[int, typer.Option(min=1, max=WHOLE.agents, help="That append at once.")] = WHOLE.agents,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of a table.")] = False,
    file: Annotated[
        Path | None, typer.Option("--out", help="Take up the figures here; the same command goes on after a stop.")
    ] = None,
    as_json_: AsJson = False,
) -> None:
    """Compare with those of the peers that are installed; docs/performance.md says how they are.

    Append one message in a transaction of its own, alone and by several writers at once, and read the last fifty.
    """
    sizes = Sizes(rounds=rounds, rows=rows, operations=operations, agents=writers)
    asked = [Part(name, level, "peers") for name, level in LEVELS.items() if db in (name, Databases.BOTH)]
    kept = Kept(file, asked, sizes)
    with Progress(console=err, disable=not err.is_terminal, transient=True) as progress:
        for part in list(kept.left):
            start = time.monotonic()
            with place(part.database, None) as url:
                kept.add(part, *run(measure(part, url, sizes, progress)))
            say(f"peers on {part.database}: {time.monotonic() - start:,.0f} s")
    if markdown:
        emit(as_markdown(kept.runs), as_json=False)
    else:
        emit(as_json(kept.runs) if as_json_ else shown(as_table(kept.runs)), as_json=as_json_)


async def measure(part: Part, url: str, sizes: Sizes, progress: Progress) -> tuple[Mapping[str, str], list[Figure]]:
    """The machine, and the figures."""
    db = part.database
    async with opened(db, url, part.synchronous, sizes, progress) as bench, AsyncExitStack() as stack:
        peers: list[Peer] = [AsPeer(bench, layer) for layer in bench.layers]
        for make in installed(db):
            # A file of its own: how it is journalled is each one's choice.
            peers.append(make(url if db == "postgres" else url.replace(".db", f"-{len(peers)}.db")))
        for peer in peers:
            await stack.enter_async_context(peer)
        machine = await describe(db, bench.database)
        return machine, await _all(bench, peers)


def installed(db: str) -> Iterator[Callable[[str], Peer]]:
    for name, (module, databases) in PEERS.items():
        if db not in databases:
            continue
        try:
            yield getattr(importlib.import_module(f"benchmarks.peers.{module}"), name)
        except ImportError:
            say(f"{module} is not installed, and is left out.")


async def _all(bench: Bench, peers: Sequence[Peer]) -> list[Figure]:
    rounds, times, rows = bench.sizes.rounds, bench.sizes.operations, bench.sizes.rows
    talks = [f"talk {n}" for n in range(bench.sizes.agents)]
    for peer in peers:
        bench.say(f"storing by {peer.name}")
        for talk in ("alone", "read", *talks):
            await peer.begin(talk)
        for _ in range(rows):
            await peer.append("read", TEXT)
    bench.say("append")
    alone = await interleaved(
        {peer.name: partial(one_after_another, partial(peer.append, "alone", TEXT), times) for peer in peers}, rounds
    )
    bench.say(f"{len(talks)} writers")
    at_once = await interleaved(
        {
            peer.name: partial(side_by_side, [partial(peer.append, talk, TEXT) for talk in talks], max(1, times // 8))
            for peer in peers
        },
        rounds,
    )
    bench.say("last 50")
    read = await interleaved(
        {peer.name: partial(one_after_another, partial(peer.last, "read"), times) for peer in peers}, rounds
    )
    return [
        figure("W1", "peers.append", "append, p50", "ms", alone["p50"]),
        figure("W1", "peers.cpu", "append, processor", "ms", alone["cpu"]),
        figure("W1", "peers.writers", f"{len(talks)} writers", "tps", at_once["tps"]),
        figure("W2", "peers.last", "last 50, p50", "ms", read["p50"], rows=rows),
    ]


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app(prog_name="python -m benchmarks.peers")
