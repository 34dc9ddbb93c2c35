"""What a process holds of a text index: whose the text of a number is, and how long.

A number is given once, and a text that changes gets another (the revision "text search"), so what one stood for never
changes. What is held was committed: a connection of its own reads it. Numbers that are not among it, as those of the
unit that searches, are looked up one by one.
"""

import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from database.sqlite_committed import committed
from database.sqlite_signatures import Ids, Numbers, places_in
from database.sqlite_words import numbers_of

LOOKED_UP = 100
"""Numbers that each search looks up by itself; of more, what is new is read once, for all."""

BYTES = 48
"""Of a number, a size and an id."""

MOST_ROWS = 10_000_000
"""SQLite has no text of more than a billion bytes."""

SCHEMA = "PRAGMA schema_version"
"""Numbers begin anew where their table is made anew, and only there."""

# As texts: to make a row in Python takes longer than to find it.
COLUMNS = "SELECT group_concat(number), group_concat(size), group_concat(row_id, '')"
AFTER = f"{COLUMNS} FROM (SELECT * FROM {{table}}_search WHERE number > ? ORDER BY number)"
SOME = f"{COLUMNS} FROM json_each(?) AS one CROSS JOIN {{table}}_search WHERE number = one.value"


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Numbers, each with the id of its row and the characters of its text."""

    numbers: Numbers
    sizes: Numbers
    ids: Ids

    @classmethod
    def read(cls, connection: sqlite3.Connection, sql: str, value: object) -> "Texts":
        numbers, sizes, ids = connection.execute(sql, (value,)).fetchone()
        return cls(numbers_of(numbers), numbers_of(sizes), np.frombuffer((ids or "").encode(), dtype="S32"))

    @classmethod
    def looked_up(cls, connection: sqlite3.Connection, table: str, numbers: Numbers) -> "Texts":
        return cls.read(connection, SOME.format(table=table), json.dumps(numbers.tolist()))

    def some(self, places: Numbers) -> "Texts":
        return Texts(self.numbers[places], self.sizes[places], self.ids[places])

    def and_more(self, more: "Texts") -> "Texts":
        return Texts(
            np.concatenate([self.numbers, more.numbers]),
            np.concatenate([self.sizes, more.sizes]),
            np.concatenate([self.ids, more.ids]),
        )


NONE = Texts(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, "S32"))


@dataclass(slots=True)
class HeldTexts:
    """Of one file, by one process."""

    file: str
    most_bytes: int
    """Of one table. One that is larger is not held, and not counted again."""
    tables: Mapping[str, tuple[int, Texts | None]] = field(default_factory=dict)
    """With the version of the schema; in the order of numbers: all that were there at one moment, and later ones."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, connection: sqlite3.Connection, table: str, numbers: Numbers) -> Texts:
        """Of these numbers, which are in order, those that the index has as this connection sees it, in order."""
        schema: int = connection.execute(SCHEMA).fetchone()[0]
        found, unknown = self._known(table, schema, numbers)
        if unknown.size > LOOKED_UP and self.tables.get(table) != (schema, None):
            with self.lock:
                found, unknown = self._known(table, schema, numbers)
                if unknown.size > LOOKED_UP:
                    self._read_on(table)
                    found, unknown = self._known(table, schema, numbers)
        if unknown.size:
            found = found.and_more(Texts.looked_up(connection, table, unknown))
            found = found.some(np.argsort(found.numbers))
        return found

    def _known(self, table: str, schema: int, numbers: Numbers) -> tuple[Texts, Numbers]:
        """And the numbers that are unknown."""
        of_schema, texts = self.tables.get(table, (schema, NONE))
        if of_schema != schema or not texts:
            return NONE, numbers
        places, there = places_in(texts.numbers, numbers)
        return texts.some(places[there]), numbers[~there]

    def _read_on(self, table: str) -> None:
        """What was committed since, or all of it again where most of what is held is gone."""
        with committed(self.file) as connection:
            schema: int = connection.execute(SCHEMA).fetchone()[0]
            of_schema, texts = self.tables.get(table, (schema, NONE))
            rows: int = connection.execute(f"SELECT count(*) FROM {table}_search").fetchone()[0]
            if texts is None or of_schema != schema or texts.numbers.size > 2 * rows:
                texts = NONE
            if rows > min(self.most_bytes // BYTES, MOST_ROWS):
                texts = None
            else:
                last = int(texts.numbers[-1]) if texts.numbers.size else 0
                texts = texts.and_more(Texts.read(connection, AFTER.format(table=table), last))
            self.tables = {**self.tables, table: (schema, texts)}
