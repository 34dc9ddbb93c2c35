"""What SQLite finds wrong with its own file, and the making again of indexes."""

import re
from collections import Counter
from collections.abc import Sequence

from sqlalchemy.engine import Connection

from database.health import Damage

ROW = re.compile(r"^(?:non-unique entry in|wrong # of entries in|row \d+ missing from) index (?P<index>.+)$")
RULE = re.compile(r"^(?P<what>CHECK constraint failed in|.* value in) (?P<place>[\w.]+)$")


def damage(connection: Connection) -> Sequence[Damage]:
    """What an integrity check says, each thing once with the number of times; at most a thousand are counted."""
    found: Counter[tuple[str, str, bool]] = Counter()
    for line in connection.exec_driver_sql("PRAGMA integrity_check(1000)").scalars():
        if index := ROW.match(line):
            found[index["index"], "is an index that does not say what its table says", True] += 1
        elif rule := RULE.match(line):
            found[rule["place"], "has a value that breaks a rule of the table", False] += 1
        elif line != "ok":
            found["the file", "has damaged pages", False] += 1
    return [Damage(place, what, count, rebuildable) for (place, what, rebuildable), count in found.items()]


def rebuild_damaged(connection: Connection) -> None:
    connection.exec_driver_sql("REINDEX")
