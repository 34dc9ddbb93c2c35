"""Artifacts: a URL and what is known of it, never the bytes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import pytest

from database import Session
from database.errors import InvalidInputError, MissingReferenceError
from repositories.artifact import ArtifactRepository
from repositories.step import StepRepository
from tests.factories import ArtifactFactory, StepFactory
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

URL = "https://files.example/report.pdf"


@pytest.fixture
def artifacts(session: Session) -> ArtifactRepository:
    return ArtifactRepository(session)


async def test_create_stores_every_column(artifacts: ArtifactRepository, statements: Counted) -> None:
    step = await StepFactory.create()
    with statements() as seen:
        made = await artifacts.create(
            step.run_id,
            step_id=step.id,
            name="report.pdf",
            url=URL,
            media_type="application/pdf",
            size_bytes=12,
            sha256="ab" * 32,
            extra_data={"pages": 3},
        )
    assert len(seen) == 1
    stored = await artifacts.get(made.id)
    assert (stored.run_id, stored.step_id, stored.name, stored.url) == (step.run_id, step.id, "report.pdf", URL)
    assert (stored.media_type, stored.size_bytes, stored.sha256) == ("application/pdf", 12, "ab" * 32)
    assert stored.extra_data == {"pages": 3}


@pytest.mark.parametrize(
    "field, value",
    [("url", "data:text/plain,hello"), ("url", "no scheme"), ("sha256", "AB" * 32), ("size_bytes", -1), ("name", None)],
)
async def test_bad_values_are_refused_by_name(artifacts: ArtifactRepository, field: str, value: object) -> None:
    step = await StepFactory.create()
    columns: dict[str, Any] = {"name": "n", "url": URL, field: value}
    with pytest.raises(InvalidInputError) as refused:
        await artifacts.create(step.run_id, **columns)
    assert refused.value.field == field


async def test_of_run_comes_in_order(artifacts: ArtifactRepository, statements: Counted) -> None:
    first = await ArtifactFactory.create()
    second = await ArtifactFactory.create(run_id=first.run_id)
    await ArtifactFactory.create()
    with statements() as seen:
        found = await artifacts.of_run(first.run_id)
    assert len(seen) == 1
    assert [artifact.id for artifact in found] == [first.id, second.id]
    assert await artifacts.of_run(uuid4()) == []


async def test_an_artifact_needs_its_run(artifacts: ArtifactRepository, session: Session) -> None:
    with pytest.raises(MissingReferenceError):
        async with session.nested():
            await artifacts.create(uuid4(), name="n", url=URL)
    artifact = await ArtifactFactory.create()
    with pytest.raises(InvalidInputError):
        await artifacts.update(artifact.id, run_id=uuid4())


async def test_an_artifact_outlives_its_step(artifacts: ArtifactRepository, session: Session) -> None:
    step = await StepFactory.create()
    artifact = await ArtifactFactory.create(run_id=step.run_id, step_id=step.id)
    assert await StepRepository(session).delete(step.id)
    assert (await artifacts.get(artifact.id)).step_id is None
