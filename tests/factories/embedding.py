"""Texts with a vector, by source."""

import factory

from models import Embedding
from tests.factories.base import AsyncFactory, Parent
from tests.factories.embedding_space import EmbeddingSpaceFactory


class EmbeddingFactory(AsyncFactory[Embedding]):
    class Meta:
        model = Embedding

    source_type = "document"
    source_id = factory.Sequence(lambda n: f"document-{n}")
    content = "A page of a manual."
    embedding_space_id = Parent(EmbeddingSpaceFactory)
    embedding = factory.LazyFunction(lambda: [1.0, 0.0, 0.0])
