"""The nearest rows of a scope, as one function of SQL: read and compared, or found by what the process holds of them.

What is held is asked first which rows may be the nearest, and only these are read, until none of the others can be
nearer than the ones that were found. So a scope whose rows are all asked for is compared exactly either way.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from database.sqlite_candidates import POOL_BITS, Candidates, candidates
from database.sqlite_held import DEFAULT_MB, Held, held_for
from database.sqlite_interrupted import or_if_interrupted
from database.sqlite_signatures import KEYS, Ids, Numbers, Signatures, Space
from database.sqlite_vectors import BLOCK, Nearest

EVERYTHING = 2**62
"""As `narrow`: every scope is."""

FIRST = 32
"""Candidates that are read at first, if twice as many as wanted are no more; then twice as many each time."""

MOST_SCOPES = 10_000
"""Of which it is kept that they are narrow."""

FEWEST = 16
"""In a wide scope behind a filter its own rows are told apart where only one of so many candidates is of it."""

ROWS = {
    "memory_embeddings": "conversation_memory AS r",
    "message_embeddings": "messages AS r CROSS JOIN conversations AS c ON c.id = r.conversation_id",
    "embeddings": "embeddings AS r",
}
"""What conditions are about, by the table of the vectors."""

STOPPED = json.dumps({"complete": 0, "hits": [["", 0.0]] * 2})


def register(connection: sqlite3.Connection, most_mb: int = DEFAULT_MB) -> None:
    """nearest_in(table, space, vector, metric, count, narrow, conditions, values...): JSON of the `count` nearest.

    `hits` are [id, score], the best first, ties by id; `complete`: no row is nearer, as in a scope of up to `narrow`
    rows. The conditions are SQL about `r` with a ? for each of the values; without any it is the whole space.
    """
    held = held_for(connection, most_mb)

    @or_if_interrupted(STOPPED)
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
        nearest = Nearest(vector, metric, count)
        of_space = Space(table, space, nearest.query.size)
        scope = Scope(connection, held, of_space, nearest, conditions, values)
        complete = scope.search(narrow)
        return json.dumps({"complete": int(complete), "hits": nearest.hits})

    connection.create_function("nearest_in", -1, nearest_in)


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows of a space that meet the conditions, as the connection sees them."""

    connection: sqlite3.Connection
    held: Held | None
    space: Space
    nearest: Nearest
    conditions: str = ""
    values: Sequence[str | float | bytes | None] = ()

    def search(self, narrow: int = -1) -> bool:
        """Bring the nearest; whether all rows of the scope were compared, or could have been no better."""
        held = self.held
        if held is None or self.nearest.metric != "cosine":
            self._read_all()
            return True
        ids = self._ids_of_narrow(held, narrow) if self.conditions else None
        if ids is not None:
            self._search_narrow(held, ids)
            return True
        wide = bool(self.conditions) or self._is_wide(narrow)
        seen = held.seen_by(self.connection, self.space)
        if seen is None:
            self._read_all()
            return True
        if wide:
            self._search_wide(seen.parts)
        else:
            self._walk(candidates(seen.parts, self.nearest.direction, [None] * len(seen.parts)))
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

    def _ids_of_narrow(self, held: Held, narrow: int) -> Ids | None:
        """Of the scope's rows; None: it is a wide one."""
        if narrow < 0:
            return None
        scope = (self.space.table, self.conditions, *self.values)
        if scope not in held.narrow:
            if self._is_wide(narrow):
                return None
            if len(held.narrow) >= MOST_SCOPES:
                held.narrow.clear()
            held.narrow.add(scope)
        ids = self._ids()
        if ids.size > narrow:
            held.narrow.discard(scope)
            return None
        return ids

    def _search_narrow(self, held: Held, ids: Ids) -> None:
        """What is not held of the scope is read, compared, and held from now on."""
        seen = held.seen_by(self.connection, self.space, whole=False)
        if seen is None:
            self._read_all()
            return
        places, unknown = self._places(seen.parts, ids)
        if not seen.whole:
            for start in range(0, unknown.size, BLOCK):
                some = unknown[start : start + BLOCK]
                rows = self._read(some)
                self.nearest.add(rows)
                absent = some[:0]
                if len(rows) < some.size:
                    absent = np.setdiff1d(some, np.array([row[0] for row in rows], dtype="S32"))
                held.add(self.space, seen, rows, absent)
        self._walk(candidates(seen.parts, self.nearest.direction, places), known=True)

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
        if self.conditions:
            places, _ = self._places(parts, self._ids())
        self._walk(candidates(parts, direction, places, wanted, most))
        if not self.nearest.is_full:
            self._walk(candidates(parts, direction, places))

    def _walk(self, found: Candidates, *, known: bool = False) -> int:
        """Read candidates, until none that is left can be nearer than the last of the nearest; how many these were.

        `known`: to be of the scope.
        """
        place, step = 0, max(FIRST, 2 * self.nearest.count)
        while place < found.ids.size and not self.nearest.is_beyond(float(found.bounds[place])):
            self.nearest.add(self._read(found.ids[place : place + step], known=known))
            place, step = place + step, min(2 * step, BLOCK)
        return min(place, found.ids.size)

    def _ids(self) -> Ids:
        """Of the scope's rows, with a vector or without."""
        # As one text: to make a row in Python takes longer than to find it.
        sql = f"SELECT group_concat(r.id, '') FROM {ROWS[self.space.table]} WHERE {self.conditions}"
        text: str | None = self.connection.execute(sql, self.values).fetchone()[0]
        return np.frombuffer((text or "").encode(), dtype="S32")

    def _places(self, parts: Sequence[Signatures], ids: Ids) -> tuple[list[Numbers | None], Ids]:
        """Where rows are, and those that are in no part; the latest part that knows a row is right about it."""
        places: list[Numbers | None] = []
        for part in reversed(parts):
            where = part.places_of(ids)
            places.append(np.sort(where[where >= 0]))
            ids = ids[where < 0]
        return places[::-1], ids

    def _read(self, ids: Ids, *, known: bool = True) -> list[tuple[str, bytes]]:
        """Ids and vectors of some rows; of those in the scope only where that is not `known`."""
        table, key = self.space.table, KEYS[self.space.table]
        values: Sequence[object] = [json.dumps(ids.astype(str).tolist()), self.space.id]
        # CROSS JOIN: in this order, whatever indexes there are.
        vectors = f"SELECT v.{key}, v.embedding FROM json_each(?) AS candidate CROSS JOIN {table} AS v"
        sql = f"{vectors} WHERE v.{key} = candidate.value AND v.embedding_space_id = ?"
        if self.conditions and not known:
            sql = f"{sql} AND EXISTS (SELECT 1 FROM {ROWS[table]} WHERE r.id = v.{key} AND {self.conditions})"
            values = [*values, *self.values]
        return self.connection.execute(sql, values).fetchall()

    def _read_all(self) -> None:
        table, key = self.space.table, KEYS[self.space.table]
        if not self.conditions:
            sql = f"SELECT {key}, embedding FROM {table} WHERE embedding_space_id = ?"
        else:
            vectors, joined = ("r", "") if table == "embeddings" else ("v", f" JOIN {table} AS v ON v.{key} = r.id")
            # The plus keeps SQLite from reading all of a space for the few rows that meet the conditions.
            of_space = f"+{vectors}.embedding_space_id = ?"
            sql = f"SELECT r.id, {vectors}.embedding FROM {ROWS[table]}{joined} WHERE {of_space} AND {self.conditions}"
        cursor = self.connection.execute(sql, (self.space.id, *self.values))
        while rows := cursor.fetchmany(BLOCK):
            self.nearest.add(rows)
