"""The limit on SQLite: the standard library's sqlite3 in one thread; executemany for many rows, numpy for vectors."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self, TypeVar
from uuid import UUID

import numpy as np

from benchmarks.conversations import Vector
from benchmarks.layers.work import (
    APPEND_SQLITE,
    COUNT_MANY,
    COUNT_SQLITE,
    COUNTERS,
    DELETE,
    HISTORY,
    MEMORIES_SQLITE,
    NEAREST,
    PLACED,
    RECALL_SQLITE,
    VECTORS_SQLITE,
    Message,
    counters,
    new_append,
    placed,
    stored_time,
)
from database.url import parse_url
from models import EmbeddingSpace

T = TypeVar("T")

INSERT = f"INSERT INTO messages ({', '.join(PLACED)}) VALUES ({', '.join(f':{name}' for name in PLACED)})"


class Sqlite3Limit:
    name = "limit"

    def __init__(self, url: str, space: EmbeddingSpace, synchronous: str) -> None:
        self._file = str(parse_url(url).database)
        self._synchronous = synchronous
        self._space = space.id.hex
        self._thread = ThreadPoolExecutor(1)
        self._ids: list[str] = []
        self._matrix: Vector | None = None

    async def __aenter__(self) -> Self:
        self._connection = await self._run(self._open)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._run(self._connection.close)
        self._thread.shutdown()

    async def append(self, talk: UUID, content: str) -> object:
        return await self._run(lambda: self._append(talk, content))

    async def last(self, talk: UUID) -> Sequence[object]:
        return await self._run(lambda: self._fetch(HISTORY, {"conversation_id": talk.hex}))

    async def store(self, talk: UUID, messages: Sequence[Message]) -> object:
        return await self._run(lambda: self._store(talk, messages))

    async def delete(self, talk: UUID) -> object:
        return await self._run(lambda: self._delete(talk))

    async def recall(self, vector: Vector, persona: UUID | None) -> Sequence[UUID]:
        return await self._run(lambda: self._recall(vector, persona))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        for pragma in (
            "busy_timeout=30000",
            "foreign_keys=ON",
            "recursive_triggers=ON",
            "journal_mode=WAL",
            f"synchronous={self._synchronous}",
            "temp_store=MEMORY",
            "cache_size=-8000",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _append(self, talk: UUID, content: str) -> object:
        values = _stored(new_append(talk, content))
        with self._writing():
            row = self._fetch(APPEND_SQLITE, values)
            self._connection.execute(COUNT_SQLITE, values)
        return row

    def _store(self, talk: UUID, messages: Sequence[Message]) -> None:
        with self._writing():
            [(position, episode, last)] = self._fetch(COUNTERS, {"conversation_id": talk.hex})
            sent_at = datetime.fromisoformat(last).replace(tzinfo=UTC)
            before = {"last_position": position, "last_episode": episode, "last_message_at": sent_at}
            rows = placed(talk, before, messages)
            self._connection.executemany(INSERT, [_stored(row) for row in rows])
            self._connection.execute(COUNT_MANY, _stored(counters(talk, rows)))

    def _delete(self, talk: UUID) -> None:
        with self._writing():
            self._connection.execute(DELETE, {"conversation_id": talk.hex})

    def _recall(self, vector: Vector, persona: UUID | None) -> list[UUID]:
        if persona is None:
            ids, matrix = self._all()
        else:
            ids, matrix = self._vectors(RECALL_SQLITE, {"persona_id": persona.hex, "space_id": self._space})
        best = [ids[place] for place in nearest(matrix, vector)]
        rows = self._fetch(MEMORIES_SQLITE, {"ids": json.dumps(best)})
        found = {row[0] for row in rows}
        return [UUID(id) for id in best if id in found]

    def _all(self) -> tuple[list[str], Vector]:
        """In memory, which no program of many processes could keep true so simply."""
        if self._matrix is None:
            self._ids, self._matrix = self._vectors(VECTORS_SQLITE, {"space_id": self._space})
        return self._ids, self._matrix

    def _vectors(self, sql: str, values: Mapping[str, object]) -> tuple[list[str], Vector]:
        rows = self._fetch(sql, values)
        return [row[0] for row in rows], matrix_of([row[1] for row in rows])

    def _fetch(self, sql: str, values: Mapping[str, object]) -> list[Any]:
        return self._connection.execute(sql, values).fetchall()


def matrix_of(vectors: Sequence[bytes]) -> Vector:
    return np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(vectors), -1 if vectors else 0)


def nearest(matrix: Vector, vector: Vector) -> Sequence[int]:
    """The places of the best, best first; all vectors are of length 1."""
    if not len(matrix):
        return []
    scores = matrix @ vector
    count = min(NEAREST, scores.size)
    places = np.argpartition(-scores, count - 1)[:count]
    ordered: list[int] = places[np.argsort(-scores[places])].tolist()
    return ordered


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _as_stored(value) for name, value in values.items()}


def _as_stored(value: Any) -> Any:
    match value:
        case UUID():
            return value.hex
        case datetime():
            return stored_time(value)
    return value
