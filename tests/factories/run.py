"""Runs of agents."""

from models import Run
from tests.factories.base import AsyncFactory


class RunFactory(AsyncFactory[Run]):
    class Meta:
        model = Run

    actor = "researcher"
