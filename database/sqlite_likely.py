"""Similarities of many rows at once: exactly, and nearly for those of which only the likely best are wanted.

What the process holds of the vectors tells their cosines nearly; to read them would cost ten times as much.
"""

import json
import sqlite3
from collections.abc import Sequence

import numpy as np

from database.sqlite_held import DEFAULT_MB, Held, held_for
from database.sqlite_interrupted import or_if_interrupted
from database.sqlite_signatures import KEYS, Ids, Space, Vector
from database.sqlite_vectors import BLOCK, SCORES, Nearest, matrix_of

STOPPED_IDS, STOPPED = json.dumps(["", "-"]), json.dumps({"": 0.0, "-": 0.0})


def register(connection: sqlite3.Connection, most_mb: int = DEFAULT_MB) -> None:
    """best_of(table, space, vector, metric, weight, count, scores): JSON of the `count` ids whose score and weighed
    similarity are highest, of a JSON object with a score for each id.

    similarities(table, space, vector, metric, ids): JSON object of a JSON array of ids; null: without a vector.
    """
    held = held_for(connection, most_mb)

    @or_if_interrupted(STOPPED_IDS)
    def best_of(table: str, space: str, vector: bytes, metric: str, weight: float, count: int, scores: str) -> str:
        known: dict[str, float] = json.loads(scores)
        if len(known) <= count:
            return json.dumps(list(known))
        asked = Nearest(vector, metric, count)
        similarities = similarities_of(connection, held, Space(table, space, len(vector) // 4), asked, list(known))
        sums = np.fromiter(known.values(), np.float64, len(known)) + weight * similarities
        ids = np.array(list(known))
        return json.dumps(ids[np.argsort(-sums, kind="stable")[:count]].tolist())

    @or_if_interrupted(STOPPED)
    def similarities(table: str, space: str, vector: bytes, metric: str, ids: str) -> str:
        asked = Nearest(vector, metric, 1)
        return json.dumps(exact_similarities(connection, Space(table, space, len(vector) // 4), asked, json.loads(ids)))

    connection.create_function("best_of", 7, best_of)
    connection.create_function("similarities", 5, similarities)


def similarities_of(
    connection: sqlite3.Connection, held: Held | None, space: Space, asked: Nearest, ids: Sequence[str] | Ids
) -> Vector:
    """0 for what has no vector."""
    seen = held.seen_by(connection, space) if held is not None and asked.metric == "cosine" else None
    if seen is None:
        return _read(connection, space, asked, np.array(ids).astype(str).tolist())
    similarities: Vector = np.zeros(len(ids), np.float32)
    sought, unknown = np.array(ids, dtype="S32"), np.arange(len(ids))
    # The latest part that knows a row is right about it.
    for part in reversed(seen.parts):
        where = part.places_of(sought[unknown])
        places = where[where >= 0]
        similarities[unknown[where >= 0]] = part.at_most(asked.direction, places) - part.errors[places]
        unknown = unknown[where < 0]
    return similarities


def _read(connection: sqlite3.Connection, space: Space, asked: Nearest, ids: list[str]) -> Vector:
    known = exact_similarities(connection, space, asked, ids)
    return np.array([known[id] or 0.0 for id in ids], dtype=np.float32)


def exact_similarities(
    connection: sqlite3.Connection, space: Space, asked: Nearest, ids: Sequence[str]
) -> dict[str, float | None]:
    """None: without a vector."""
    found: dict[str, float | None] = dict.fromkeys(ids)
    sql = f"""SELECT id.value, v.embedding FROM json_each(?) AS id CROSS JOIN {space.table} AS v
    WHERE v.{KEYS[space.table]} = id.value AND +v.embedding_space_id = ?"""
    question = asked.query.astype(np.float64)
    cursor = connection.execute(sql, (json.dumps(list(found)), space.id))
    while rows := cursor.fetchmany(BLOCK):
        vectors = matrix_of([vector for _, vector in rows])
        scores = SCORES[asked.metric](vectors.astype(np.float64), question)
        if asked.metric == "l2":
            scores = 1 / (1 - scores)
        found.update(zip((id for id, _ in rows), scores.tolist(), strict=True))
    return found
