"""The demo from its beginning to its end: every part of the store once, with a record for the account."""

import time
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from database import Database
from database.errors import StaleVersionError
from repositories import UnitOfWork
from scripts.demonstration.census import count_orphans, count_pointing_at, count_rows
from scripts.demonstration.recall import Answer, ask, sample_questions
from scripts.demonstration.run import RecordedRun, record_run
from scripts.demonstration.talks import Line, Talks, read_back, store_talks
from scripts.embedder import HashedEmbedder
from scripts.importer import space_named
from scripts.sample import CONVERSATIONS
from scripts.seed import Seeded, seed

STATE_KEY = "bookmark"


@dataclass(frozen=True, slots=True)
class WrittenState:
    """`refused`: somebody who had read the first version tried to write after the second, and could not."""

    key: str
    value: object
    versions: tuple[int, int]
    refused: bool


@dataclass(frozen=True, slots=True)
class Deletion:
    """Rows of every table `before` and `after`; `pointing`: rows that name the conversation, before and after.

    `orphans`: rows that name any row which is not there. `run_kept`: the run is there still, of no conversation.
    """

    title: str
    before: dict[str, int]
    after: dict[str, int]
    pointing: tuple[int, int]
    orphans: int
    run_kept: bool


@dataclass(frozen=True, slots=True)
class Story:
    version: str | None
    revision: str | None
    migrated: bool
    seeded: Seeded
    talks: Talks
    embedder: str
    dimensions: int
    title: str
    history: tuple[Line, ...]
    state: WrittenState
    answers: tuple[Answer, ...]
    run: RecordedRun
    deletion: Deletion
    seconds: float


async def tell(database: Database, file: Path | None) -> Story:
    """The demo in a connected database, on the sample or on a file's conversations.

    Again in the same database it finds what it stored, under the same ids, and stores again what it deleted.
    """
    started = time.monotonic()
    before = (await database.health()).revision
    await database.migrate()
    health = await database.health()
    seeded = await seed(database)
    embedder = HashedEmbedder()
    space = await space_named(database, embedder.name, embedder.dimensions)
    talks, asked = await store_talks(database, file or CONVERSATIONS, embedder, space)
    questions = [asked] if file else sample_questions(seeded)
    talk_id, owner_id = questions[0].conversation_id, questions[0].owner_id
    history = await read_back(database, talk_id, owner_id)
    state = await _write_state(database, talk_id, owner_id)
    answers = [await ask(database, question, embedder, space) for question in questions]
    run = await record_run(database, talk_id, owner_id, answers[0])
    deletion = await _delete(database, talk_id, owner_id, run.id)
    return Story(
        version=health.version,
        revision=health.revision,
        migrated=before != health.revision,
        seeded=seeded,
        talks=talks,
        embedder=embedder.name,
        dimensions=embedder.dimensions,
        title=deletion.title,
        history=history,
        state=state,
        answers=tuple(answers),
        run=run,
        deletion=deletion,
        seconds=time.monotonic() - started,
    )


async def _write_state(database: Database, talk_id: UUID, owner_id: str | None) -> WrittenState:
    async with UnitOfWork(database, owner_id=owner_id) as uow:
        talk = await uow.conversations.get(talk_id)
        read = await uow.states.set(talk_id, STATE_KEY, {"read_to": 1})
        newer = await uow.states.compare_and_set(
            talk_id, STATE_KEY, {"read_to": talk.last_position}, version=read.version
        )
        try:
            await uow.states.compare_and_set(talk_id, STATE_KEY, {"read_to": 2}, version=read.version)
            refused = False
        except StaleVersionError:
            refused = True
        value = (await uow.states.mapping(talk_id))[STATE_KEY]
    return WrittenState(STATE_KEY, value, (read.version, newer.version), refused)


async def _delete(database: Database, talk_id: UUID, owner_id: str | None, run_id: UUID) -> Deletion:
    async with UnitOfWork(database, owner_id=owner_id) as uow:
        title = (await uow.conversations.get(talk_id)).title
        before, pointing = await count_rows(uow), await count_pointing_at(uow, talk_id)
        await uow.conversations.delete(talk_id)
    # In another unit: this is what everybody sees now.
    async with UnitOfWork(database, owner_id=owner_id) as uow:
        after, still_pointing = await count_rows(uow), await count_pointing_at(uow, talk_id)
        orphans = await count_orphans(uow)
        run = await uow.runs.get_or_none(run_id)
    kept = run is not None and run.conversation_id is None
    return Deletion(title, before, after, (pointing, still_pointing), orphans, kept)
