"""SQLAlchemy Core with care: statements built once, one transaction an operation, the columns' own types."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self
from uuid import UUID

import sqlalchemy as sa
from pgvector.asyncpg import register_vector
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from benchmarks.conversations import Vector
from benchmarks.layers.asyncpg_limit import SERVER_SETTINGS
from benchmarks.layers.sqlite3_limit import matrix_of, nearest
from benchmarks.layers.work import (
    APPEND_POSTGRES,
    APPEND_SQLITE,
    COUNT_MANY,
    COUNT_SQLITE,
    COUNTERS,
    DELETE,
    HISTORY,
    MEMORIES_SQLITE,
    MEMORY,
    PLACED,
    READ,
    RECALL_POSTGRES,
    RECALL_SQLITE,
    VECTORS_SQLITE,
    WRITERS,
    Message,
    counters,
    new_append,
    placed,
    recall_all_postgres,
)
from database.url import parse_url
from models import Conversation, EmbeddingSpace, Memory
from models import Message as MessageRow
from models.types import UTCDateTime
from models.types import Vector as VectorType
from models.values import load_json

READS = "benchmark_reads"


def _table(model: type[Any]) -> sa.Table:
    table: sa.Table = sa.inspect(model).local_table
    return table


MESSAGES, CONVERSATIONS, MEMORIES = _table(MessageRow), _table(Conversation), _table(Memory)

TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    **{column.name: column.type for column in MESSAGES.columns},
    **dict.fromkeys(("conversation_id", "persona_id", "space_id"), sa.Uuid()),
    "episode_before": UTCDateTime(),
    "added": sa.BigInteger(),
    "vector": VectorType(),
}


def _statement(
    sql: str, table: sa.Table | None = None, columns: Sequence[str] = ()
) -> sa.TextClause | sa.TextualSelect:
    text = sa.text(sql)
    text = text.bindparams(*(sa.bindparam(name, type_=TYPES[name]) for name in text._bindparams if name in TYPES))
    return text if table is None else text.columns(**{name: table.c[name].type for name in columns})


HISTORY_ROWS = _statement(HISTORY, MESSAGES, READ)
BEFORE = _statement(COUNTERS, CONVERSATIONS, ["last_position", "last_episode", "last_message_at"])
COUNT, GONE = _statement(COUNT_MANY), _statement(DELETE)
APPENDS = {"postgresql": [_statement(APPEND_POSTGRES, MESSAGES, PLACED)]}
APPENDS["sqlite"] = [_statement(APPEND_SQLITE, MESSAGES, PLACED), _statement(COUNT_SQLITE)]
RECALL_ROWS = _statement(RECALL_POSTGRES, MEMORIES, MEMORY)
PERSONA_VECTORS, ALL_VECTORS = _statement(RECALL_SQLITE), _statement(VECTORS_SQLITE)
MEMORY_ROWS = _statement(MEMORIES_SQLITE, MEMORIES, MEMORY)
INSERT = sa.insert(MESSAGES)


class Core:
    name = "core"

    def __init__(self, url: str, space: EmbeddingSpace, synchronous: str) -> None:
        self._engine = _engine(url, synchronous)
        self._reader = self._engine.execution_options(**{READS: True})
        self._on_postgres = self._engine.dialect.name == "postgresql"
        self._appends = APPENDS[self._engine.dialect.name]
        self._space = space.id
        self._all = _statement(recall_all_postgres(space.id, space.dimensions), MEMORIES, MEMORY)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._engine.dispose()

    async def append(self, talk: UUID, content: str) -> object:
        values = _typed(new_append(talk, content))
        async with self._engine.begin() as connection:
            row = (await connection.execute(self._appends[0], values)).one()
            for statement in self._appends[1:]:
                await connection.execute(statement, values)
        return row

    async def last(self, talk: UUID) -> Sequence[object]:
        async with self._reader.connect() as connection:
            return (await connection.execute(HISTORY_ROWS, {"conversation_id": talk})).all()

    async def store(self, talk: UUID, messages: Sequence[Message]) -> object:
        async with self._engine.begin() as connection:
            before = (await connection.execute(BEFORE, {"conversation_id": talk})).one()._asdict()
            rows = [_typed(row) for row in placed(talk, before, messages)]
            await connection.execute(INSERT, rows)
            return await connection.execute(COUNT, counters(talk, rows))

    async def delete(self, talk: UUID) -> object:
        async with self._engine.begin() as connection:
            return await connection.execute(GONE, {"conversation_id": talk})

    async def recall(self, vector: Vector, persona: UUID | None) -> Sequence[UUID]:
        async with self._reader.connect() as connection:
            if not self._on_postgres:
                return await self._by_numpy(connection, vector, persona)
            if persona is None:
                rows = await connection.execute(self._all, {"vector": vector})
            else:
                values = {"vector": vector, "persona_id": persona, "space_id": self._space}
                rows = await connection.execute(RECALL_ROWS, values)
            return [row.id for row in rows]

    async def _by_numpy(self, connection: AsyncConnection, vector: Vector, persona: UUID | None) -> Sequence[UUID]:
        if persona is None:
            result = await connection.execute(ALL_VECTORS, {"space_id": self._space})
        else:
            result = await connection.execute(PERSONA_VECTORS, {"persona_id": persona, "space_id": self._space})
        rows = result.all()
        matrix = matrix_of([row.embedding for row in rows])
        best = [rows[place].id for place in nearest(matrix, vector)]
        await connection.execute(MEMORY_ROWS, {"ids": json.dumps(best)})
        return [UUID(id) for id in best]


def _engine(url: str, synchronous: str) -> AsyncEngine:
    address = parse_url(url)
    on_postgres = address.get_backend_name() == "postgresql"
    settings = {"server_settings": SERVER_SETTINGS} if on_postgres else {"timeout": 30}
    engine = create_async_engine(address, pool_size=WRITERS, max_overflow=0, connect_args=settings)

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, entry: object) -> None:
        if on_postgres:
            connection.run_async(register_vector)
            return
        connection.isolation_level = None
        for pragma in ("foreign_keys=ON", "recursive_triggers=ON", "journal_mode=WAL", f"synchronous={synchronous}"):
            connection.execute(f"PRAGMA {pragma}")

    if not on_postgres:

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: sa.Connection) -> None:
            reads = connection.get_execution_options().get(READS, False)
            connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "extra_data": load_json(values["extra_data"])}
