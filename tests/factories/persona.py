"""Personas, and their use of modules."""

import factory

from models import Persona, PersonaModule
from tests.factories.base import AsyncFactory, Parent
from tests.factories.module import ModuleFactory


class PersonaFactory(AsyncFactory[Persona]):
    class Meta:
        model = Persona

    name = factory.Sequence(lambda n: f"Persona {n}")
    template = "You are a patient listener."


class PersonaModuleFactory(AsyncFactory[PersonaModule]):
    class Meta:
        model = PersonaModule

    persona_id = Parent(PersonaFactory)
    module_id = Parent(ModuleFactory)
