"""Modules as tests need them."""

import factory

from models import Module
from tests.factories.base import AsyncFactory


class ModuleFactory(AsyncFactory[Module]):
    class Meta:
        model = Module

    name = factory.Sequence(lambda n: f"Module {n}")
    content = "Answer in rhyme."
