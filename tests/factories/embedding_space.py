"""Embedding spaces of three dimensions: vectors that fit on a line of a test."""

import factory

from models import EmbeddingSpace
from tests.factories.base import AsyncFactory


class EmbeddingSpaceFactory(AsyncFactory[EmbeddingSpace]):
    class Meta:
        model = EmbeddingSpace

    name = factory.Sequence(lambda n: f"space-{n}")
    dimensions = 3
