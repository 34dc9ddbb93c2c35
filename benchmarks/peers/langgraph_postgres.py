"""langgraph's store and saver on PostgreSQL."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Self
from uuid import uuid4

from langgraph.checkpoint.base import create_checkpoint, empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.postgres import AsyncPostgresStore
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.layers.work import LAST, WRITERS
from database.url import parse_url


def _address(url: str) -> str:
    return parse_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


class LangGraphStore:
    name = "langgraph AsyncPostgresStore"

    def __init__(self, url: str) -> None:
        self._url = _address(url)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        pool: Any = {"min_size": WRITERS, "max_size": WRITERS}
        opened = AsyncPostgresStore.from_conn_string(self._url, pool_config=pool)
        self._store: Any = await self._stack.enter_async_context(opened)
        await self._store.setup()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def begin(self, talk: str) -> None:
        """A namespace begins with its first item."""

    async def append(self, talk: str, content: str) -> object:
        return await self._store.aput(("talk", talk), uuid4().hex, {"role": "user", "content": content})

    async def last(self, talk: str) -> Sequence[object]:
        items: Sequence[object] = await self._store.asearch(("talk", talk), limit=LAST)
        return items


class LangGraphSaver:
    """A checkpoint holds the whole conversation, so that is what an append writes."""

    name = "langgraph AsyncPostgresSaver"

    def __init__(self, url: str) -> None:
        self._url = _address(url)
        self._stack = AsyncExitStack()
        self._talks: dict[str, tuple[Any, Any]] = {}

    async def __aenter__(self) -> Self:
        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        pool: Any = AsyncConnectionPool(self._url, min_size=WRITERS, max_size=WRITERS, open=False, kwargs=options)
        self._saver: Any = AsyncPostgresSaver(await self._stack.enter_async_context(pool))
        await self._saver.setup()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def begin(self, talk: str) -> None:
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"messages": []}
        self._talks[talk] = {"configurable": {"thread_id": talk, "checkpoint_ns": ""}}, checkpoint

    async def append(self, talk: str, content: str) -> object:
        config, before = self._talks[talk]
        checkpoint = create_checkpoint(before, None, len(before["channel_values"]["messages"]))
        messages = [*before["channel_values"]["messages"], {"role": "user", "content": content}]
        checkpoint["channel_values"] = {"messages": messages}
        version = self._saver.get_next_version(before["channel_versions"].get("messages"), None)
        checkpoint["channel_versions"] = {"messages": version}
        metadata = {"source": "input", "step": len(messages), "parents": {}}
        config = await self._saver.aput(config, checkpoint, metadata, {"messages": version})
        self._talks[talk] = config, checkpoint
        return config

    async def last(self, talk: str) -> Sequence[object]:
        found = await self._saver.aget_tuple({"configurable": {"thread_id": talk, "checkpoint_ns": ""}})
        messages: Sequence[object] = found.checkpoint["channel_values"]["messages"][-LAST:]
        return messages
