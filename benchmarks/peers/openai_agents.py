"""openai-agents: its session on SQLAlchemy, and the one on sqlite3."""

from collections.abc import Callable, Sequence
from typing import Any, Self

from agents import SQLiteSession
from agents.extensions.memory import SQLAlchemySession
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.layers.work import LAST, WRITERS
from database.url import parse_url


class _Sessions:
    """An object for each conversation, kept by the application."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make
        self._sessions: dict[str, Any] = {}

    async def begin(self, talk: str) -> None:
        self._sessions[talk] = self._make(talk)

    async def append(self, talk: str, content: str) -> object:
        return await self._sessions[talk].add_items([{"role": "user", "content": content}])

    async def last(self, talk: str) -> Sequence[object]:
        items: Sequence[object] = await self._sessions[talk].get_items(limit=LAST)
        return items


class OpenAiSqlAlchemy(_Sessions):
    name = "openai-agents SQLAlchemySession"

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(parse_url(url), pool_size=WRITERS, max_overflow=0)
        super().__init__(lambda talk: SQLAlchemySession(talk, engine=self._engine, create_tables=True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._engine.dispose()


class OpenAiSqlite(_Sessions):
    name = "openai-agents SQLiteSession"

    def __init__(self, url: str) -> None:
        file = str(parse_url(url).database)
        super().__init__(lambda talk: SQLiteSession(talk, file))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for session in self._sessions.values():
            session.close()
