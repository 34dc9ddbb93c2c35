"""What runs made."""

import factory

from models import Artifact
from tests.factories.base import AsyncFactory, Parent
from tests.factories.run import RunFactory


class ArtifactFactory(AsyncFactory[Artifact]):
    class Meta:
        model = Artifact

    run_id = Parent(RunFactory)
    name = factory.Sequence(lambda n: f"report-{n}.pdf")
    url = factory.LazyAttribute(lambda artifact: f"https://files.example/{artifact.name}")
