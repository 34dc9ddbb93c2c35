"""What every layer can be asked to do, and the SQL by which those below the repositories do it."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, Self
from uuid import UUID

from benchmarks.conversations import Vector
from models import new_id, utc_now

Message = Mapping[str, Any]
"""A message to store: role, content and sent_at."""

LAST = 50
NEAREST = 10
WRITERS = 20
"""Connections of each pool, as many as there are writers."""

EPISODE_GAP = timedelta(hours=4)
FINGERPRINT = "0" * 32

GIVEN = (
    "id role name content thinking tool_calls tool_call_id status sent_at edited_at input_tokens output_tokens "
    "fingerprint extra_data created_at updated_at"
).split()
PLACED = [*GIVEN, "conversation_id", "position", "episode"]
READ = [name for name in PLACED if name not in ("fingerprint", "created_at", "updated_at")]
MEMORY = (
    "id owner_id conversation_id persona_id first_message_id content memory_type importance occurred_at "
    "last_accessed_at access_count extra_data created_at"
).split()


class Layer(Protocol):
    """One way to the database, durable as the others; opened with `async with`."""

    name: str

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *error: object) -> None: ...

    async def append(self, talk: UUID, content: str) -> object:
        """A message at the next position, with the conversation's counters, in one transaction."""
        ...

    async def last(self, talk: UUID) -> Sequence[object]:
        """The last fifty messages."""
        ...

    async def store(self, talk: UUID, messages: Sequence[Message]) -> object:
        """All of them at once, in one transaction."""
        ...

    async def delete(self, talk: UUID) -> object:
        """The conversation with all that belongs to it."""
        ...

    async def recall(self, vector: Vector, persona: UUID | None) -> Sequence[UUID]:
        """The ten nearest memories, read whole, of a persona or of all; their ids."""
        ...


def new_row(talk: UUID, message: Message) -> dict[str, Any]:
    """The columns that a caller of the drivers has to think of himself."""
    now = utc_now()
    row: dict[str, Any] = dict.fromkeys(GIVEN)
    row.update(message, id=new_id(), conversation_id=talk, status="complete", fingerprint=FINGERPRINT, extra_data="{}")
    row["sent_at"] = row["sent_at"] or now
    row["created_at"] = row["updated_at"] = now
    return row


def placed(talk: UUID, before: Mapping[str, Any], messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Rows with their positions behind those that are there, and their episodes."""
    position, episode, last = before["last_position"], before["last_episode"], before["last_message_at"]
    rows = []
    for position, message in enumerate(messages, position + 1):  # noqa: B020  # the last one is told below
        row = new_row(talk, message)
        if not episode or last < row["sent_at"] - EPISODE_GAP:
            episode += 1
        last = row["sent_at"]
        row.update(position=position, episode=episode)
        rows.append(row)
    return rows


def counters(talk: UUID, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    last = rows[-1]
    return {
        "conversation_id": talk,
        "position": last["position"],
        "episode": last["episode"],
        "added": len(rows),
        "sent_at": last["sent_at"],
    }


def new_append(talk: UUID, content: str) -> dict[str, Any]:
    """The parameters of APPEND."""
    row = new_row(talk, {"role": "user", "content": content})
    row["episode_before"] = row["sent_at"] - EPISODE_GAP
    return row


def positional(sql: str, types: Mapping[str, str]) -> tuple[str, list[str]]:
    """The same text with $1, $2 ... and their types for the server, and the names in that order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match[1]
        if name not in names:
            names.append(name)
        return f"CAST(${names.index(name) + 1} AS {types.get(name, 'text')})"

    return re.sub(r"(?<!:):(\w+)", number, sql), names


def stored_time(value: datetime) -> str:
    """As SQLite's columns hold it."""
    return value.strftime("%Y-%m-%d %H:%M:%S.%f")


APPEND_POSTGRES = f"""
WITH c AS (
    SELECT id AS conversation_id, last_position + 1 AS position,
        CASE WHEN last_episode = 0 OR last_message_at < :episode_before THEN last_episode + 1
        ELSE last_episode END AS episode
    FROM conversations WHERE id = :conversation_id FOR NO KEY UPDATE
), i AS (
    INSERT INTO messages ({", ".join(PLACED)})
    SELECT {", ".join(f":{name}" for name in GIVEN)}, c.conversation_id, c.position, c.episode FROM c
    ON CONFLICT (id) DO UPDATE SET id = messages.id WHERE messages.conversation_id = excluded.conversation_id
    RETURNING {", ".join(f"messages.{name}" for name in PLACED)}, messages.xmax = 0 AS inserted
), u AS (
    UPDATE conversations SET last_position = last_position + 1,
        last_episode = greatest(last_episode, (SELECT episode FROM c)), message_count = message_count + 1,
        input_tokens = input_tokens + coalesce(:input_tokens, 0),
        output_tokens = output_tokens + coalesce(:output_tokens, 0), last_message_at = :sent_at
    WHERE id = :conversation_id AND (SELECT inserted FROM i)
)
SELECT i.* FROM c LEFT JOIN i ON true
"""

APPEND_SQLITE = f"""
INSERT INTO messages ({", ".join(PLACED)})
SELECT {", ".join(f":{name}" for name in GIVEN)}, id, last_position + 1,
    CASE WHEN last_episode = 0 OR last_message_at < :episode_before THEN last_episode + 1 ELSE last_episode END
FROM conversations WHERE id = :conversation_id
ON CONFLICT (id) DO NOTHING
RETURNING {", ".join(PLACED)}
"""

COUNT_SQLITE = """
UPDATE conversations SET last_position = last_position + 1,
    last_episode = CASE WHEN last_episode = 0 OR last_message_at < :episode_before THEN last_episode + 1
        ELSE last_episode END,
    message_count = message_count + 1, input_tokens = input_tokens + coalesce(:input_tokens, 0),
    output_tokens = output_tokens + coalesce(:output_tokens, 0), last_message_at = :sent_at
WHERE id = :conversation_id
"""

HISTORY = f"""
SELECT {", ".join(READ)} FROM messages WHERE conversation_id = :conversation_id ORDER BY position DESC LIMIT {LAST}
"""

COUNTERS = "SELECT last_position, last_episode, last_message_at FROM conversations WHERE id = :conversation_id"

COUNT_MANY = """
UPDATE conversations SET last_position = :position, last_episode = :episode, message_count = message_count + :added,
    last_message_at = :sent_at
WHERE id = :conversation_id
"""

DELETE = "DELETE FROM conversations WHERE id = :conversation_id"

RECALL_POSTGRES = f"""
WITH mine AS MATERIALIZED (
    SELECT m.id, v.embedding <=> :vector AS distance
    FROM conversation_memory AS m JOIN memory_embeddings AS v ON v.memory_id = m.id
    WHERE m.persona_id = :persona_id AND v.embedding_space_id = :space_id
)
SELECT {", ".join(f"r.{name}" for name in MEMORY)}, 1 - distance AS score
FROM (SELECT * FROM mine ORDER BY distance, id LIMIT {NEAREST}) AS nearest JOIN conversation_memory AS r USING (id)
ORDER BY distance, id
"""

RECALL_SQLITE = """
SELECT m.id, v.embedding FROM conversation_memory AS m CROSS JOIN memory_embeddings AS v
WHERE m.persona_id = :persona_id AND v.memory_id = m.id AND v.embedding_space_id = :space_id
"""
"""CROSS JOIN keeps the order: a persona's rows are fewer than a space's."""

VECTORS_SQLITE = "SELECT memory_id AS id, embedding FROM memory_embeddings WHERE embedding_space_id = :space_id"

MEMORIES_SQLITE = f"""
SELECT {", ".join(MEMORY)} FROM conversation_memory WHERE id IN (SELECT value FROM json_each(:ids))
"""


def recall_all_postgres(space_id: UUID, dimensions: int) -> str:
    """Through the space's own index, as docs/search.md says it is made, and the candidates again in full precision."""
    half = f"halfvec({dimensions})"
    return f"""
WITH near AS MATERIALIZED (
    SELECT memory_id, embedding FROM memory_embeddings WHERE embedding_space_id = '{space_id}'
    ORDER BY CAST(embedding AS {half}) <=> CAST(:vector AS {half}) LIMIT {NEAREST * NEAREST}
)
SELECT {", ".join(f"r.{name}" for name in MEMORY)}, 1 - distance AS score
FROM (
    SELECT memory_id AS id, embedding <=> :vector AS distance FROM near ORDER BY distance, id LIMIT {NEAREST}
) AS nearest JOIN conversation_memory AS r USING (id)
ORDER BY distance, id
"""


TYPES = {
    **dict.fromkeys(("id", "conversation_id", "persona_id", "space_id"), "uuid"),
    **dict.fromkeys(("sent_at", "edited_at", "created_at", "updated_at", "episode_before"), "timestamptz"),
    **dict.fromkeys(("input_tokens", "output_tokens", "position", "episode", "added"), "bigint"),
    **dict.fromkeys(("tool_calls", "extra_data"), "jsonb"),
    "vector": "vector",
}
"""PostgreSQL's types of parameters that are not text."""
