"""What pgvector tells of a vector by itself, for SQLite: its width and its length."""

import math
import sqlite3

import numpy as np


def register_measures(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.create_function("vector_dims", 1, vector_dims, deterministic=True)
    connection.create_function("vector_norm", 1, vector_norm, deterministic=True)
    return connection


def vector_dims(value: object) -> int:
    """How many numbers it holds; -1: it is no vector at all."""
    return len(value) // 4 if isinstance(value, bytes) and len(value) % 4 == 0 else -1


def vector_norm(value: object) -> float | None:
    """Its length, infinity included; None where there is none, as of NaN."""
    if not isinstance(value, bytes) or len(value) % 4:
        return None
    numbers = np.frombuffer(value, dtype="<f4").astype(np.float64)
    length = math.sqrt(float(numbers.dot(numbers)))
    return None if math.isnan(length) else length
