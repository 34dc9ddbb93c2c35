"""What writers were told is stored, kept outside of the store, and the comparison of both.

A unit is one or more messages that are written as one. Their text says which unit they are of and how many it has, so
that the store itself shows a unit that was torn, and one that was written twice under different ids.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from database import Database
from repositories.message_record import MessageRecord

SUFFIX = ".journal"


def text_of(unit: UUID, part: int, parts: int) -> str:
    return f"{unit} {part} {parts}"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    id: UUID
    conversation_id: UUID
    position: int
    text: str
    seconds: float


class Journal:
    """One process's part of it: a line reaches the kernel before the next call is made, so a kill takes none back."""

    def __init__(self, folder: Path) -> None:
        path = folder / f"{os.getpid()}-{uuid4().hex}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @contextmanager
    def call(self) -> Iterator[list[MessageRecord]]:
        """What is added to the list was acknowledged by the call inside; it took as long as the block."""
        stored: list[MessageRecord] = []
        began = time.monotonic()
        yield stored
        seconds = time.monotonic() - began
        lines = [f"ack {row.id} {row.conversation_id} {row.position} {seconds:.3f} {row.content}\n" for row in stored]
        os.write(self._file, "".join(lines).encode())

    def failed(self, error: Exception) -> None:
        os.write(self._file, f"error {type(error).__name__}\n".encode())

    def close(self) -> None:
        os.close(self._file)


def grown(folder: Path) -> int:
    """How much is written, in bytes."""
    return sum(path.stat().st_size for path in folder.glob(f"*{SUFFIX}"))


def read(folder: Path) -> tuple[Sequence[Acknowledged], Counter[str]]:
    """Every acknowledgement, and the errors that calls ended with, by their names."""
    acknowledged: list[Acknowledged] = []
    errors: Counter[str] = Counter()
    for path in folder.glob(f"*{SUFFIX}"):
        for line in path.read_text().splitlines():
            kind, rest = line.split(" ", 1)
            if kind == "error":
                errors[rest] += 1
            else:
                id, conversation_id, position, seconds, text = rest.split(" ", 4)
                entry = Acknowledged(UUID(id), UUID(conversation_id), int(position), text, float(seconds))
                acknowledged.append(entry)
    return acknowledged, errors


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lost`: acknowledged, and not there as it was acknowledged. `doubled`: a message or a position twice.

    `torn`: units of which a part is missing. `miscounted`: conversations whose positions have a gap, or whose counters
    are not those of their rows. `unacknowledged`: there, though its writer was not told; that is no fault.
    """

    acknowledged: int
    lost: int
    doubled: int
    torn: int
    miscounted: int
    unacknowledged: int
    errors: Counter[str]
    outage: float

    @property
    def whole(self) -> bool:
        """Whether the store has what it shall have; what calls ended with is another question."""
        return not (self.lost or self.doubled or self.torn or self.miscounted)


async def compare(database: Database, folder: Path) -> Verdict:
    """The journals in `folder` with the messages in the store, all of which must be writers'."""
    acknowledged, errors = read(folder)
    rows = await database.fetch_all(
        "SELECT id, conversation_id, position, content FROM messages", columns={"id": UUID, "conversation_id": UUID}
    )
    stored = {row["id"]: (row["conversation_id"], row["position"], row["content"]) for row in rows}
    lost = [one for one in acknowledged if stored.get(one.id) != (one.conversation_id, one.position, one.text)]
    doubled = sum(
        count - 1
        for names in (
            Counter(row["id"] for row in rows),
            Counter((row["conversation_id"], row["position"]) for row in rows),
            Counter(row["content"] for row in rows),
        )
        for count in names.values()
    )
    units: dict[str, set[str]] = {}
    parts: dict[str, int] = {}
    for row in rows:
        unit, part, number = str(row["content"]).split(" ")
        units.setdefault(unit, set()).add(part)
        parts[unit] = int(number)
    return Verdict(
        acknowledged=len({one.id for one in acknowledged}),
        lost=len(lost),
        doubled=doubled,
        torn=sum(len(found) != parts[unit] for unit, found in units.items()),
        miscounted=await _miscounted(database),
        unacknowledged=len(stored.keys() - {one.id for one in acknowledged}),
        errors=errors,
        outage=max((one.seconds for one in acknowledged), default=0.0),
    )


async def _miscounted(database: Database) -> int:
    rows = await database.fetch_all(
        "SELECT c.message_count, c.last_position, count(m.id) AS rows_there, coalesce(max(m.position), 0) AS highest "
        "FROM conversations AS c LEFT JOIN messages AS m ON m.conversation_id = c.id "
        "GROUP BY c.id, c.message_count, c.last_position"
    )
    return sum(len(set(row.values())) != 1 for row in rows)
