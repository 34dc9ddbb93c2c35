"""Which of some texts hold which words, as a text index of the file would say that has these texts only.

The index itself can list all rows of a word in order, and is slow to say whether a given row is one of them: of a word
that very many rows hold, the few rows that matter are indexed anew, in memory.
"""

import json
import sqlite3
from contextlib import closing

SCHEMA = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"


def register(connection: sqlite3.Connection) -> None:
    """texts_with(index, texts, words): JSON [[key of a text, key of a word that it holds], ...] of two JSON objects."""

    def texts_with(index: str, texts: str, words: str) -> str:
        made = connection.execute(SCHEMA, (index,)).fetchone()
        if made is None:
            raise sqlite3.OperationalError(f"no such table: {index}")
        return _texts_with(index, made[0], json.loads(texts), json.loads(words))

    connection.create_function("texts_with", 3, texts_with, deterministic=True)


def _texts_with(index: str, schema: str, texts: dict[str, str], words: dict[str, str]) -> str:
    keys = list(texts)
    sql = f"SELECT rowid FROM {index} WHERE {index} MATCH ?"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        memory.execute(schema)
        memory.execute("BEGIN")
        memory.executemany(f"INSERT INTO {index} (rowid, content) VALUES (?, ?)", enumerate(texts.values()))
        return json.dumps(
            [[keys[row], key] for key, word in words.items() for (row,) in memory.execute(sql, (f'"{word}"',))]
        )
