"""What a process holds of a file's vectors, for all of its connections, and which of it a connection may use.

Triggers number every vector, and anew when it changes (the revision "vector search"), so what a number stood for never
changes, and a higher one is news. What is shared by all connections of a process is read from the file by a connection
of its own, and so was committed; what a search sees beyond that, its own unit's writes or a moment's news, it reads by
itself. A row that is gone has lost its number, and is passed over when its vector is looked for.
"""

import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from database.sqlite_signatures import Signatures, Space, Vector

NEWS = 100
"""Changes that each search reads by itself; more of them are read once, for all."""

MOST_BYTES = 512 * 2**20
"""Of all that is held together: a million vectors of 384 dimensions. The space that was read longest ago goes first."""

FILES: WeakValueDictionary[tuple[str, int], "Held"] = WeakValueDictionary()
"""By name and inode, as long as a connection is open."""

FILES_LOCK = threading.Lock()

CHANGES = "SELECT changes FROM vector_search"


@dataclass(slots=True)
class Shared:
    """What was committed at one count of changes, and at each of `points` since, in parts, the newest last."""

    parts: list[Signatures]
    points: list[int]
    loaded: int

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts)

    def and_more(self, news: Signatures, changes: int) -> "Shared":
        """Parts are joined so that each is twice as large as the next: each vector is copied a few times in all."""
        parts = [*self.parts, news]
        while len(parts) > 1 and parts[-2].numbers.size < 2 * parts[-1].numbers.size:
            parts[-2:] = [Signatures.joined(parts[-2:])]
        return Shared(parts, [*self.points, changes], self.loaded)


@dataclass(slots=True, weakref_slot=True)
class Held:
    """Of one file, by one process."""

    file: str
    spaces: dict[Space, Shared] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    read: dict[Space, int] = field(default_factory=dict)
    """Vectors that were read in narrow scopes while the space was not held, and after how many it is to be."""
    due: dict[Space, int] = field(default_factory=dict)

    def is_worth(self, connection: sqlite3.Connection, space: Space) -> bool:
        """Whether searches have read as many vectors as the space has: so many were as dear as to hold it."""
        if space in self.spaces:
            return True
        read = self.read.get(space, 0)
        if read < self.due.get(space, NEWS):
            return False
        sql = f"SELECT count(*) FROM {space.table}_search WHERE embedding_space_id = ?"
        self.due[space] = connection.execute(sql, (space.id,)).fetchone()[0]
        return read >= self.due[space]

    def have_read(self, space: Space, rows: int) -> None:
        self.read[space] = self.read.get(space, 0) + rows

    def surely(self, space: Space) -> int:
        """How many vectors a space has at least: those that were there, less all changes since and some more."""
        shared = self.spaces.get(space)
        return shared.loaded // 2 - 3 * NEWS if shared else 0

    def seen_by(self, connection: sqlite3.Connection, space: Space) -> Sequence[Signatures]:
        """Of every vector that this connection sees at this moment, and of some that are gone."""
        changes = connection.execute(CHANGES).fetchone()[0]
        shared, point = self._shared(space, changes)
        if shared is None or changes - point > NEWS:
            with self.lock:
                shared, point = self._shared(space, changes)
                if shared is None or changes - point > NEWS:
                    self._refresh(space)
            shared, point = self._shared(space, changes)
        if shared is None:
            return [Signatures.read(connection, space, -1, None)]
        known = [part.upto(point) for part in shared.parts]
        if point == changes:
            return known
        return [*known, Signatures.read(connection, space, point, _centre(known))]

    def _shared(self, space: Space, changes: int) -> tuple[Shared | None, int]:
        """What is shared, and the latest of its points that is no news to one who sees so many changes."""
        shared = self.spaces.get(space)
        place = bisect_right(shared.points, changes) if shared else 0
        return (shared, shared.points[place - 1]) if shared and place else (None, -1)

    def _refresh(self, space: Space) -> None:
        """Read what was committed: the news, or all of it again after many, so that little is held that is gone."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            changes = connection.execute(CHANGES).fetchone()[0]
            shared = self.spaces.get(space)
            last = shared.points[-1] if shared else -1
            if shared is None or not 0 <= changes - shared.points[0] <= shared.loaded // 2 + NEWS or changes < last:
                signatures = Signatures.read(connection, space, -1, None)
                shared = Shared([signatures], [changes], signatures.numbers.size)
            elif changes > last:
                shared = shared.and_more(Signatures.read(connection, space, last, _centre(shared.parts)), changes)
        self.spaces.pop(space, None)
        self.spaces[space] = shared
        while len(self.spaces) > 1 and sum(one.nbytes for one in self.spaces.values()) > MOST_BYTES:
            del self.spaces[next(iter(self.spaces))]


def _centre(parts: Sequence[Signatures]) -> Vector | None:
    return parts[0].centre if parts[0].centre.size else None


def held_for(connection: sqlite3.Connection) -> Held | None:
    """What this process holds of the connection's file; None of a database in memory, which has one connection."""
    file: str = connection.execute("PRAGMA database_list").fetchone()[2]
    if not file:
        return None
    key = file, Path(file).stat().st_ino
    with FILES_LOCK:
        held = FILES.get(key)
        if held is None:
            FILES[key] = held = Held(file)
    return held
