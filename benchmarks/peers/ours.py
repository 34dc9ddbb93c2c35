"""The layers of the other benchmarks, asked as a peer is."""

from collections.abc import Sequence
from typing import Self
from uuid import UUID

from benchmarks.bench import Bench
from benchmarks.layers.work import Layer


class AsPeer:
    """The database is its opener's to close."""

    def __init__(self, bench: Bench, layer: Layer) -> None:
        self.name = layer.name
        self._bench = bench
        self._layer = layer
        self._talks: dict[str, UUID] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None: ...

    async def begin(self, talk: str) -> None:
        self._talks[talk] = await self._bench.new_talk()

    async def append(self, talk: str, content: str) -> object:
        return await self._layer.append(self._talks[talk], content)

    async def last(self, talk: str) -> Sequence[object]:
        return await self._layer.last(self._talks[talk])
