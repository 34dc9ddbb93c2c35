"""Which of some texts hold which words, as a text index of the file says, or one would say that has these texts only.

The index itself can list all rows of a word in order, and is slow to say whether a given row is one of them: of a word
that very many rows hold, the few rows that matter are indexed anew, in memory.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TypeVar

import numpy as np

from database.sqlite_interrupted import or_if_interrupted
from database.sqlite_signatures import Numbers

KeyT = TypeVar("KeyT")

SCHEMA = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"

LONGEST = 250_000
"""Characters of a text that are indexed, as the revision in alembic/versions has it."""

LISTED, LEAST_LISTED = 8, 3_000
"""Characters that are indexed in the time in which a row of a list is read, or less; and rows that are read however few
texts there are, as an index takes long to make."""

TEXTS = """
SELECT s.number, substr(r.content, 1, {longest})
FROM json_each(?) AS one CROSS JOIN {table}_search AS s CROSS JOIN {table} AS r
WHERE s.number = one.value AND r.id = s.row_id
"""


STOPPED = json.dumps([[0, 0]] * 2)


def register(connection: sqlite3.Connection) -> None:
    """texts_with(index, texts, words): JSON [[key of a text, key of a word that it holds], ...] of two JSON objects.

    rows_with(table, words, scope): JSON [[place of a word, number of a row that holds it], ...] of a JSON array and of
    a scope, JSON [characters of its texts, [numbers of its rows]]; the list of a word is read, or the texts are indexed
    where that takes longer.
    """

    def texts_with(index: str, texts: str, words: str) -> str:
        keys, contents = zip(*json.loads(texts).items(), strict=True) if texts != "{}" else ((), ())
        found = _texts_with(connection, index, enumerate(contents), json.loads(words))
        return json.dumps([[keys[row], word] for row, word in found])

    @or_if_interrupted(STOPPED)
    def rows_with(table: str, words: str, scope: str) -> str:
        return json.dumps(_rows_with(connection, table, json.loads(words), *json.loads(scope)))

    connection.create_function("texts_with", 3, texts_with, deterministic=True)
    connection.create_function("rows_with", 3, rows_with)


def _rows_with(
    connection: sqlite3.Connection, table: str, words: list[str], size: int, numbers: list[int]
) -> list[tuple[int, int]]:
    if not numbers:
        return []
    longest, inside = max(LEAST_LISTED, size // LISTED), np.array(numbers)
    sql = f"SELECT group_concat(rowid) FROM (SELECT rowid FROM {table}_fts WHERE {table}_fts MATCH ? LIMIT ?)"
    found, long = [], {}
    for place, word in enumerate(words):
        listed = numbers_of(connection.execute(sql, (f'"{word}"', longest + 1)).fetchone()[0])
        if listed.size > longest:
            long[place] = word
        else:
            found += [(place, number) for number in listed[np.isin(listed, inside)].tolist()]
    if long:
        texts = connection.execute(TEXTS.format(table=table, longest=LONGEST), (json.dumps(numbers),))
        found += [(place, number) for number, place in _texts_with(connection, f"{table}_fts", texts, long)]
    return found


def numbers_of(text: str | None) -> Numbers:
    """As group_concat writes them: to make a row in Python takes longer than to find it."""
    return np.fromstring(text or "", dtype=np.int64, sep=",")


def _texts_with(
    connection: sqlite3.Connection, index: str, texts: Iterable[tuple[int, str]], words: dict[KeyT, str]
) -> Iterator[tuple[int, KeyT]]:
    made = connection.execute(SCHEMA, (index,)).fetchone()
    if made is None:
        raise sqlite3.OperationalError(f"no such table: {index}")
    sql = f"SELECT rowid FROM {index} WHERE {index} MATCH ?"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        memory.execute(made[0])
        memory.execute("BEGIN")
        memory.executemany(f"INSERT INTO {index} (rowid, content) VALUES (?, ?)", texts)
        for key, word in words.items():
            for (row,) in memory.execute(sql, (f'"{word}"',)):
                yield row, key
