"""What `check` looks at, one function each: what is found is said in one line, with what to do about it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from database import Database, migrations
from database.errors import ConfigurationError
from database.inspection import foreign_keys_without_index, vector_support
from models import EmbeddingSpace, SpaceStatus
from repositories import EmbeddingSpaceRepository
from repositories.search import IndexState, TableIndex
from scripts.migrate import CONFIG

FAST_ENOUGH = 10_000
"""Vectors that an exact search reads without anybody waiting for it."""


class Level(StrEnum):
    ERROR = "error"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is what was looked at, `message` what is not as it should be, `remedy` what to do."""

    level: Level
    check: str
    message: str
    remedy: str


async def of_vectors(database: Database) -> AsyncIterator[Finding]:
    async with database.session() as session:
        support = await vector_support(await session.core())
    if support.version is None:
        yield Finding(Level.ERROR, "vectors", f"{support.name} is not there", "python3 -m scripts migrate")
    elif _numbers(support.version) < _numbers(support.least):
        message = f"{support.name} is {support.version}, and {support.least} is needed"
        yield Finding(Level.ERROR, "vectors", message, "ALTER EXTENSION vector UPDATE, or update the package")


async def of_revisions(database: Database) -> AsyncIterator[Finding]:
    try:
        pending = await migrations.pending(database.url, config=CONFIG, settings=database.settings)
    except ConfigurationError as error:
        yield Finding(Level.ERROR, "revisions", str(error), "run the code that migrated this database, or newer")
        return
    for revision in pending:
        yield Finding(Level.ERROR, "revisions", f"{revision} is not applied", "python3 -m scripts migrate")


async def of_checksums(database: Database) -> AsyncIterator[Finding]:
    for sentence in await migrations.changed_checksums(database.url, config=CONFIG, settings=database.settings):
        yield Finding(Level.ERROR, "checksums", sentence, "undo the change, and make a new revision of it")


async def of_drift(database: Database) -> AsyncIterator[Finding]:
    for sentence in await migrations.drift(database.url, config=CONFIG, settings=database.settings):
        remedy = "alembic revision --autogenerate, unless somebody altered the database by hand"
        yield Finding(Level.ERROR, "drift", f"the models want to {sentence}", remedy)


async def of_foreign_keys(database: Database) -> AsyncIterator[Finding]:
    async with database.session() as session:
        keys = await foreign_keys_without_index(await session.core())
    for key in keys:
        message = f"{key.table} ({', '.join(key.columns)}) has no index: deleting from {key.parent} reads all of it"
        yield Finding(Level.ERROR, "foreign keys", message, f"an index on {key.table} that begins with it")


async def of_spaces(database: Database) -> AsyncIterator[Finding]:
    """Retired spaces are nobody's concern, and neither is an index over nothing."""
    async with database.session() as session:
        spaces = await EmbeddingSpaceRepository(session).page(limit=1_000)
        indexes = {space.id: await EmbeddingSpaceRepository(session).indexes(space) for space in spaces}
    for space in spaces:
        if space.status is not SpaceStatus.RETIRED:
            for finding in await _of_space(database, space, indexes[space.id]):
                yield finding


async def _of_space(database: Database, space: EmbeddingSpace, indexes: Sequence[TableIndex]) -> list[Finding]:
    found = []
    for index in indexes:
        if index.state in (IndexState.READY, IndexState.NOT_NEEDED):
            continue
        some = await database.fetch_value(
            f"SELECT count(*) FROM (SELECT 1 FROM {index.table} WHERE embedding_space_id = :space LIMIT :most) AS v",
            {"space": space.id, "most": FAST_ENOUGH + 1},
        )
        if some:
            found.append(_of_index(space, index, large=some == FAST_ENOUGH + 1))
    return found


def _of_index(space: EmbeddingSpace, index: TableIndex, *, large: bool) -> Finding:
    place = f"the space {space.name} in {index.table}"
    remedy = f"python3 -m scripts index {space.name}"
    match index.state:
        case IndexState.TOO_WIDE:
            message = f"{place} is too wide for an index ({space.dimensions} dimensions): search reads all of it"
            return Finding(Level.ADVICE, "spaces", message, "a model of at most 4000 dimensions, if search gets slow")
        case IndexState.UNFINISHED:
            return Finding(Level.ERROR, "spaces", f"the index of {place} was left unfinished", remedy)
    level = Level.ERROR if large else Level.ADVICE
    size = f"more than {FAST_ENOUGH}" if large else f"at most {FAST_ENOUGH}"
    return Finding(level, "spaces", f"{place} has no index: search reads all its vectors, {size}", remedy)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
