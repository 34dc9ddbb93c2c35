"""google-adk: its service of sessions in a database."""

import warnings
from collections.abc import Sequence
from typing import Any, Self

from google.adk.events import Event
from google.adk.sessions import DatabaseSessionService
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from benchmarks.layers.work import LAST, WRITERS
from database.url import parse_url

WHO = {"app_name": "measured", "user_id": "ada"}


class GoogleAdk:
    name = "google-adk DatabaseSessionService"

    def __init__(self, url: str) -> None:
        address = parse_url(url).render_as_string(hide_password=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._service: Any = DatabaseSessionService(db_url=address, pool_size=WRITERS, max_overflow=0)
        self._sessions: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._service.close()

    async def begin(self, talk: str) -> None:
        self._sessions[talk] = await self._service.create_session(**WHO, session_id=talk)

    async def append(self, talk: str, content: str) -> object:
        event = Event(author="user", content=types.Content(role="user", parts=[types.Part(text=content)]))
        return await self._service.append_event(self._sessions[talk], event)

    async def last(self, talk: str) -> Sequence[object]:
        config = GetSessionConfig(num_recent_events=LAST)
        session = await self._service.get_session(**WHO, session_id=talk, config=config)
        events: Sequence[object] = session.events
        return events
