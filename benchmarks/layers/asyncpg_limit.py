"""The limit on PostgreSQL: asyncpg with prepared statements, through its own pool; COPY for many rows."""

from collections.abc import Mapping, Sequence
from typing import Any, Self
from uuid import UUID

import asyncpg
from pgvector.asyncpg import register_vector

from benchmarks.conversations import Vector
from benchmarks.layers.work import (
    APPEND_POSTGRES,
    COUNT_MANY,
    COUNTERS,
    DELETE,
    HISTORY,
    PLACED,
    RECALL_POSTGRES,
    TYPES,
    WRITERS,
    Message,
    counters,
    new_append,
    placed,
    positional,
    recall_all_postgres,
)
from database.url import parse_url
from models import EmbeddingSpace

SERVER_SETTINGS = {"hnsw.ef_search": "1000", "max_parallel_workers_per_gather": "0"}
"""As the repositories search; see docs/search.md. And the best plan for a persona's rows: the server is wrong about
what they cost by their index, and would read the whole table with three processes, for three times as long."""

APPEND, APPEND_NAMES = positional(APPEND_POSTGRES, TYPES)
RECALL, RECALL_NAMES = positional(RECALL_POSTGRES, TYPES)
LAST, _ = positional(HISTORY, TYPES)
BEFORE, _ = positional(COUNTERS + " FOR NO KEY UPDATE", TYPES)
COUNT, COUNT_NAMES = positional(COUNT_MANY, TYPES)
GONE, _ = positional(DELETE, TYPES)


class AsyncpgLimit:
    name = "limit"

    def __init__(self, url: str, space: EmbeddingSpace) -> None:
        self._url = parse_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._space = space.id
        self._all, _ = positional(recall_all_postgres(space.id, space.dimensions), TYPES)
        self._pool: Any = None

    async def __aenter__(self) -> Self:
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=WRITERS,
            max_size=WRITERS,
            init=register_vector,
            server_settings=SERVER_SETTINGS,
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._pool.close()

    async def append(self, talk: UUID, content: str) -> object:
        values = new_append(talk, content)
        return await self._pool.fetchrow(APPEND, *_in_order(values, APPEND_NAMES))

    async def last(self, talk: UUID) -> Sequence[object]:
        rows: Sequence[object] = await self._pool.fetch(LAST, talk)
        return rows

    async def store(self, talk: UUID, messages: Sequence[Message]) -> object:
        async with self._pool.acquire() as connection, connection.transaction():
            rows = placed(talk, await connection.fetchrow(BEFORE, talk), messages)
            records = [[row[name] for name in PLACED] for row in rows]
            await connection.copy_records_to_table("messages", records=records, columns=PLACED)
            return await connection.execute(COUNT, *_in_order(counters(talk, rows), COUNT_NAMES))

    async def delete(self, talk: UUID) -> object:
        return await self._pool.execute(GONE, talk)

    async def recall(self, vector: Vector, persona: UUID | None) -> Sequence[UUID]:
        if persona is None:
            rows = await self._pool.fetch(self._all, vector)
        else:
            values = {"vector": vector, "persona_id": persona, "space_id": self._space}
            rows = await self._pool.fetch(RECALL, *_in_order(values, RECALL_NAMES))
        return [row["id"] for row in rows]


def _in_order(values: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    return [values[name] for name in names]
