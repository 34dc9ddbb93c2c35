"""Whether what was restored is what was saved, and sound."""

from collections.abc import Mapping, Sequence

from database import Database, migrations
from database.errors import CorruptionError
from repositories.integrity import PARTS
from scripts.backups.archive import TableSum
from scripts.deep_findings import in_words
from scripts.migrate import CONFIG

NOT_DATA = frozenset({"alembic_version", "migration_checksums"})


def holds_data(table: str) -> bool:
    """Not what a database has before anybody has stored anything, nor what only helps to search."""
    return table not in NOT_DATA and not table.endswith("_search")


def compare(saved: Mapping[str, TableSum], restored: Mapping[str, TableSum]) -> None:
    """Raises CorruptionError with the names of the tables that differ."""
    different = [name for name in sorted(saved.keys() | restored.keys()) if saved.get(name) != restored.get(name)]
    if different:
        raise CorruptionError(f"the restored rows are not those of the backup: {', '.join(different)}")


async def faults_of(database: Database) -> Sequence[str]:
    """What the deep checks find, of a database at the newest revision; an older one is migrated first, by its owner.

    A backup keeps what was there: what was wrong before is told, and is no reason to have nothing.
    """
    if await migrations.pending(database.url, config=CONFIG, settings=database.settings):
        return ()
    async with database.session() as session:
        faults = [fault for part in PARTS.values() for fault in await part.look(session)]
    return [in_words(fault) for fault in faults]
