"""What was committed to a file, as a process reads it for all of its connections."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager


@contextmanager
def committed(file: str) -> Iterator[sqlite3.Connection]:
    """A connection of its own, which reads all at one moment."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("BEGIN")
        yield connection
