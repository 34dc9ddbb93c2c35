"""The nearest rows of a scope, as one function of SQL: read and compared, or found by what the process holds of them.

What is held is asked first which rows may be the nearest, and only these are read, until none of the others can be
nearer than the ones that were found. So a scope whose rows are all asked for is compared exactly either way.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from database.sqlite_held import Held, held_for
from database.sqlite_signatures import KEYS, POOL_BITS, Candidates, Numbers, Signatures, Space, candidates
from database.sqlite_vectors import BLOCK, Nearest

EVERYTHING = 2**62
"""As `narrow`: every scope is."""

FIRST = 32
"""Candidates that are read at first, if twice as many as wanted are no more; then twice as many each time."""

FEWEST = 16
"""In a wide scope behind a filter its own rows are told apart where only one of so many candidates is of it."""

ROWS = {
    "memory_embeddings": "conversation_memory AS r",
    "message_embeddings": "messages AS r CROSS JOIN conversations AS c ON c.id = r.conversation_id",
    "embeddings": "embeddings AS r",
}
"""What conditions are about, by the table of the vectors."""

STOPPED = json.dumps({"complete": 0, "hits": [["", 0.0]] * 2})
"""For a statement that was interrupted in here: going from one to the other SQLite meets the interruption itself."""


def register(connection: sqlite3.Connection) -> None:
    """nearest_in(table, space, vector, metric, count, narrow, conditions, values...): JSON of the `count` nearest.

    `hits` are [id, score], the best first, ties by id; `complete`: no row is nearer, as in a scope of up to `narrow`
    rows. The conditions are SQL about `r` with a ? for each of the values; without any it is the whole space.
    """
    held = held_for(connection)

    def nearest_in(
        table: str,
        space: str,
        vector: bytes,
        metric: str,
        count: int,
        narrow: int,
        conditions: str,
        *values: str | float | bytes | None,
    ) -> str:
        scope = Scope(connection, held, Space(table, space), Nearest(vector, metric, count), conditions, values)
        try:
            complete = scope.search(narrow)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return STOPPED
            raise
        return json.dumps({"complete": int(complete), "hits": scope.nearest.hits})

    connection.create_function("nearest_in", -1, nearest_in)


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows of a space that meet the conditions, as the connection sees them."""

    connection: sqlite3.Connection
    held: Held | None
    space: Space
    nearest: Nearest
    conditions: str
    values: Sequence[str | float | bytes | None]

    def search(self, narrow: int) -> bool:
        """Bring the nearest; whether all rows of the scope were compared, or could have been no better."""
        held = self.held if self.nearest.metric == "cosine" else None
        wide = self._is_wide(narrow)
        if held is None or (not wide and not held.is_worth(self.connection, self.space)):
            rows = self._read_all()
            if held is not None:
                held.have_read(self.space, rows)
            return True
        parts = held.seen_by(self.connection, self.space)
        if wide:
            self._search_wide(parts)
        else:
            self._walk(candidates(parts, self.nearest.direction, self._places(parts)))
        return not wide

    def _is_wide(self, narrow: int) -> bool:
        """Rows without a vector count too where there are conditions: an index tells how many there are."""
        if narrow >= EVERYTHING or narrow < 0:
            return narrow < 0
        if self.conditions:
            some, values = f"{ROWS[self.space.table]} WHERE {self.conditions}", [*self.values]
        elif self.held is not None and self.held.surely(self.space) > narrow:
            return True
        else:
            some, values = f"{self.space.table} WHERE embedding_space_id = ?", [self.space.id]
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {some} LIMIT ?)"
        number: int = self.connection.execute(sql, (*values, narrow + 1)).fetchone()[0]
        return number > narrow

    def _search_wide(self, parts: Sequence[Signatures]) -> None:
        """Of all vectors the likeliest are looked up, and those kept that are in the scope, while enough of them are.

        Of a scope that has fewer of them its own rows are told apart first, so that a filter never brings fewer.
        """
        wanted, direction = self.nearest.count, self.nearest.direction
        most, share = POOL_BITS // direction.size, 2
        places: list[Numbers | None] = [None] * len(parts)
        while self.conditions and share <= FEWEST:
            self.nearest.clear()
            read = self._walk(candidates(parts, direction, places, share * wanted, share * most))
            if self.nearest.is_full and self.nearest.met * share >= read:
                return
            share = max(2 * share, -(-read // max(self.nearest.met, 1)))
        self.nearest.clear()
        places = self._places(parts)
        self._walk(candidates(parts, direction, places, wanted, most))
        if not self.nearest.is_full:
            self._walk(candidates(parts, direction, places))

    def _walk(self, found: Candidates) -> int:
        """Read candidates, until none that is left can be nearer than the last of the nearest; how many these were."""
        reading = self._reading("json_each(?) AS candidate CROSS JOIN ")
        of_space = f"{self._vectors}.embedding_space_id = ?{self._and_conditions}"
        sql = f"{reading} WHERE {self._id} = candidate.value AND {of_space}"
        place, step = 0, max(FIRST, 2 * self.nearest.count)
        while place < found.ids.size and not self.nearest.is_beyond(float(found.bounds[place])):
            ids = json.dumps(found.ids[place : place + step].astype(str).tolist())
            self.nearest.add(self.connection.execute(sql, (ids, self.space.id, *self.values)).fetchall())
            place, step = place + step, min(2 * step, BLOCK)
        return min(place, found.ids.size)

    def _places(self, parts: Sequence[Signatures]) -> list[Numbers | None]:
        """Where the rows of the scope are; the latest part that knows a row is right about it."""
        if not self.conditions:
            return [None] * len(parts)
        # As one text: to make a row in Python takes longer than to find it.
        sql = f"SELECT group_concat(r.id, '') FROM {ROWS[self.space.table]} WHERE {self.conditions}"
        text: str | None = self.connection.execute(sql, self.values).fetchone()[0]
        ids = np.frombuffer((text or "").encode(), dtype="S32")
        places: list[Numbers | None] = []
        for part in reversed(parts):
            where = part.places_of(ids)
            places.append(np.sort(where[where >= 0]))
            ids = ids[where < 0]
        return places[::-1]

    def _read_all(self) -> int:
        # The plus keeps SQLite from reading all of a space for the few rows that meet the conditions.
        plus = "+" if self.conditions else ""
        sql = f"{self._reading()} WHERE {plus}{self._vectors}.embedding_space_id = ?{self._and_conditions}"
        cursor = self.connection.execute(sql, (self.space.id, *self.values))
        number = 0
        while rows := cursor.fetchmany(BLOCK):
            self.nearest.add(rows)
            number += len(rows)
        return number

    @property
    def _vectors(self) -> str:
        return "r" if self.space.table == "embeddings" else "v"

    @property
    def _and_conditions(self) -> str:
        return f" AND {self.conditions}" if self.conditions else ""

    def _reading(self, first: str = "") -> str:
        """Ids and vectors, behind a table that comes first. Every vector has its row: no condition, none is read."""
        table, vectors = self.space.table, self._vectors
        if not self.conditions:
            return f"SELECT {self._id}, {vectors}.embedding FROM {first}{table} AS {vectors}"
        joined = "" if vectors == "r" else f" JOIN {table} AS v ON v.{KEYS[table]} = r.id"
        return f"SELECT {self._id}, {vectors}.embedding FROM {first}{ROWS[table]}{joined}"

    @property
    def _id(self) -> str:
        return "r.id" if self.conditions else f"{self._vectors}.{KEYS[self.space.table]}"
