"""What each kind of database does its own way when it is copied and put back."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from database import Database
from scripts.backups import postgres, sqlite
from scripts.backups.archive import Manifest, TableSum

Progress = Callable[[float], None]
"""Hears the part that is done, 0 to 1."""


class Kind(Protocol):
    async def dump(self, database: Database, data: Path, progress: Progress) -> Mapping[str, TableSum]:
        """Write all of the database to `data`, as it was at one moment; the sums of that moment."""
        ...

    async def is_empty(self, database: Database) -> bool:
        """Whether no table has a row, but for those that tell of migrations."""
        ...

    async def load(self, database: Database, manifest: Manifest, data: IO[bytes]) -> Sequence[str]:
        """Put the data in the place of whatever is there: all of it, or nothing; what the deep checks say of it.

        Raises CorruptionError where the rows are not what the manifest says.
        """
        ...


def kind_of(database: Database) -> Kind:
    return postgres if database.url.get_backend_name() == "postgresql" else sqlite
