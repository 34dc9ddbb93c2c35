"""What is asked of a peer: append one message in a transaction of its own, and read the last fifty."""

from collections.abc import Sequence
from typing import Protocol, Self


class Peer(Protocol):
    """One way to store a conversation, named by the words of whoever made it; opened with `async with`."""

    name: str

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *error: object) -> None: ...

    async def begin(self, talk: str) -> None:
        """An empty conversation."""
        ...

    async def append(self, talk: str, content: str) -> object: ...

    async def last(self, talk: str) -> Sequence[object]: ...
