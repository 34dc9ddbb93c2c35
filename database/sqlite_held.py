"""What a process holds of a file's vectors, for all of its connections, and which of it a connection may use.

Triggers number every vector, and anew when it changes (the revision "vector search"), so what a number stood for never
changes, and a higher one is news. What is shared by all connections of a process was committed: a connection of its
own reads it, or a search in a narrow scope brings what it had to read, if that is no news. What a search sees beyond
that, its own unit's writes or a moment's news, it reads by itself. A row that is gone has lost its number, and is
passed over when its vector is looked for.
"""

import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np

from database.sqlite_committed import committed
from database.sqlite_signatures import Ids, Signatures, Space, Vector
from database.sqlite_texts import HeldTexts
from database.sqlite_vectors import matrix_of

NEWS = 100
"""Changes that each search reads by itself; more of them are read once, for all."""

MEGABYTE = 2**20

DEFAULT_MB = 1024
"""Of all vectors of a file that are held: two million of 384 dimensions."""

OF_TEXTS = 8
"""Of so many bytes for vectors one more for the numbers of texts."""

FILES: WeakValueDictionary[tuple[str, int], "Held"] = WeakValueDictionary()
"""By name and inode, as long as a connection is open."""

FILES_LOCK = threading.Lock()

CHANGES = "SELECT changes FROM vector_search"


TURNS = count()


@dataclass(frozen=True, slots=True)
class Shared:
    """What was committed at one count of changes, and at each of `points` since, in parts, the newest last.

    Of all vectors where it is `whole`; else of the rows that were asked for, and of what has changed since.
    """

    parts: Sequence[Signatures]
    points: Sequence[int]
    loaded: int
    """How many of it were no news."""
    whole: bool

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts)

    def goes_on_to(self, changes: int) -> bool:
        """Whether the news until then are not so many that most of what is held may be gone."""
        return self.points[-1] <= changes <= self.points[0] + self.loaded // 2 + NEWS

    def and_news(self, news: Signatures, changes: int) -> "Shared":
        return Shared(self._and(news), [*self.points, changes], self.loaded, self.whole)

    def and_rows(self, rows: Signatures) -> "Shared":
        return Shared(self._and(rows), self.points, self.loaded + rows.numbers.size, self.whole)

    def _and(self, more: Signatures) -> Sequence[Signatures]:
        """Parts are joined so that each is twice as large as the next: each vector is copied a few times in all."""
        parts = [*self.parts, more]
        while len(parts) > 1 and parts[-2].numbers.size < 2 * parts[-1].numbers.size:
            parts[-2:] = [Signatures.joined(parts[-2:])]
        return parts


@dataclass(frozen=True, slots=True)
class Seen:
    """What of it a connection may use: `whole`, or a row in no part has the vector that it had at `point`, if any.

    `changes`: as many as the connection sees.
    """

    parts: Sequence[Signatures]
    whole: bool
    point: int
    changes: int


@dataclass(slots=True, weakref_slot=True)
class Held:
    """Of one file, by one process."""

    file: str
    most_bytes: int = DEFAULT_MB * MEGABYTE
    """The space that was searched longest ago goes first, and one that is larger is not held."""
    spaces: dict[Space, Shared] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    narrow: set[object] = field(default_factory=set)
    """Scopes that were so when they were last searched: they need not be counted before they are read."""
    texts: HeldTexts = field(init=False)
    _used: dict[Space, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.texts = HeldTexts(self.file, self.most_bytes // OF_TEXTS)

    def surely(self, space: Space) -> int:
        """How many vectors a space has at least: those that were there, less all changes since and some more."""
        shared = self.spaces.get(space)
        return shared.loaded // 2 - 3 * NEWS if shared and shared.whole else 0

    def seen_by(self, connection: sqlite3.Connection, space: Space, *, whole: bool = True) -> Seen | None:
        """Of every vector that this connection sees at this moment, and of some that are gone; without `whole` of some.

        None: it is too large to be held; of some, this connection began before them, or has changed much by itself.
        """
        self._used[space] = next(TURNS)
        changes = connection.execute(CHANGES).fetchone()[0]
        shared, point = self._shared(space, changes, whole)
        if shared is None or changes - point > NEWS:
            with self.lock:
                shared, point = self._shared(space, changes, whole)
                if shared is None or changes - point > NEWS:
                    self._refresh(space, whole)
                    shared, point = self._shared(space, changes, whole)
        if not whole and changes - point > NEWS:
            return None
        if shared is None:
            kept = self.spaces.get(space)
            # Who began before what is held reads it all by itself.
            earlier = whole and kept is not None and kept.whole
            return Seen([Signatures.read(connection, space, -1, None)], True, -1, changes) if earlier else None
        known = [part.upto(point) for part in shared.parts]
        if point != changes:
            known.append(Signatures.read(connection, space, point, _centre(known)))
        return Seen(known, shared.whole, point, changes)

    def add(self, space: Space, seen: Seen, rows: Sequence[tuple[str, bytes]], absent: Ids) -> None:
        """Rows that were in no part of what was `seen`, and those that have no vector.

        A vector that is no news was committed. One that is not there may be there again when a unit is undone, but for
        one that has seen no change.
        """
        if seen.changes != seen.point:
            absent = absent[:0]
        with self.lock:
            shared = self.spaces.get(space)
            if shared is None or shared.whole or shared.points[-1] != seen.point:
                return
            added = []
            if rows:
                vectors = matrix_of([row[1] for row in rows])
                ids = np.array([row[0] for row in rows], dtype="S32")
                added.append(Signatures.of(np.full(ids.size, seen.point), ids, vectors, _centre(shared.parts)))
            if absent.size:
                centre = np.zeros(space.dimensions, np.float32)
                added.append(Signatures.absent(np.full(absent.size, seen.point), absent, centre))
            for each in added:
                # Another search may have brought the same ones meanwhile.
                for part in shared.parts:
                    each = each.some(part.places_of(each.ids) < 0)
                if each.numbers.size:
                    shared = shared.and_rows(each)
            self._keep(space, shared)

    def _shared(self, space: Space, changes: int, whole: bool) -> tuple[Shared | None, int]:
        """What is shared, and the latest of its points that is no news to one who sees so many changes."""
        shared = self.spaces.get(space)
        if shared is None or (whole and not shared.whole):
            return None, -1
        place = bisect_right(shared.points, changes)
        return (shared, shared.points[place - 1]) if place else (None, -1)

    def _refresh(self, space: Space, whole: bool) -> None:
        """Read what was committed: the news, or all of it again after many, so that little is held that is gone."""
        with committed(self.file) as connection:
            changes = connection.execute(CHANGES).fetchone()[0]
            shared = self.spaces.get(space)
            if shared is None or (whole and not shared.whole) or not shared.goes_on_to(changes):
                if not whole:
                    shared = Shared([], [changes], 0, False)
                elif self._fits(connection, space):
                    signatures = Signatures.read(connection, space, -1, None)
                    shared = Shared([signatures], [changes], signatures.numbers.size, True)
                else:
                    if shared is not None and shared.whole:
                        del self.spaces[space]
                    return
            elif changes > shared.points[-1]:
                news = Signatures.read(connection, space, shared.points[-1], _centre(shared.parts))
                shared = shared.and_news(news, changes)
        self._keep(space, shared)

    def _fits(self, connection: sqlite3.Connection, space: Space) -> bool:
        sql = f"SELECT count(*) FROM {space.table} WHERE embedding_space_id = ?"
        vectors: int = connection.execute(sql, (space.id,)).fetchone()[0]
        return Signatures.bytes_of(vectors, space.dimensions) <= self.most_bytes

    def _keep(self, space: Space, shared: Shared) -> None:
        self.spaces[space] = shared
        while sum(one.nbytes for one in self.spaces.values()) > self.most_bytes:
            del self.spaces[min(self.spaces, key=lambda one: self._used.get(one, 0))]


def _centre(parts: Sequence[Signatures]) -> Vector | None:
    return parts[0].centre if parts and parts[0].centre.size else None


def held_for(connection: sqlite3.Connection, most_mb: int = DEFAULT_MB) -> Held | None:
    """What this process holds of the connection's file, up to so much; None of a database in memory, which has one
    connection, and where nothing is to be held."""
    file: str = connection.execute("PRAGMA database_list").fetchone()[2]
    if not file or not most_mb:
        return None
    key = file, Path(file).stat().st_ino
    with FILES_LOCK:
        held = FILES.get(key)
        if held is None:
            FILES[key] = held = Held(file)
        held.most_bytes = most_mb * MEGABYTE
        held.texts.most_bytes = held.most_bytes // OF_TEXTS
    return held
