"""What runs made, by its URL."""

from collections.abc import Sequence
from typing import Required, TypedDict, Unpack
from uuid import UUID

from sqlmodel import col

from models import Artifact
from models.values import JsonObject
from repositories.base import Repository
from repositories.validation import valid_id


class NewArtifact(TypedDict, total=False):
    """The columns of a new artifact; `sha256` is 64 lower-case hex digits."""

    id: UUID
    step_id: UUID | None
    name: Required[str]
    url: Required[str]
    media_type: str | None
    size_bytes: int | None
    sha256: str | None
    extra_data: JsonObject


class ArtifactRepository(Repository[Artifact]):
    """Where it lies is stored, never its bytes: a `data:` URL is refused."""

    model = Artifact
    fixed = frozenset({"run_id"})

    async def create(self, run_id: UUID, **columns: Unpack[NewArtifact]) -> Artifact:
        """An artifact of the run. Raises MissingReferenceError without the run or step, DuplicateError."""
        return await self._create(run_id=run_id, **columns)

    async def of_run(self, run_id: UUID) -> Sequence[Artifact]:
        """In the order in which they were made; none for a run that is not there."""
        artifacts = await self._select(col(Artifact.run_id) == valid_id(run_id, "run_id"))
        return sorted(artifacts, key=lambda artifact: artifact.id)
