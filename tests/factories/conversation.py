"""Conversations; give `persona_id` for one that is held with a persona."""

import factory

from models import Conversation
from tests.factories.base import AsyncFactory


class ConversationFactory(AsyncFactory[Conversation]):
    class Meta:
        model = Conversation

    title = factory.Sequence(lambda n: f"Conversation {n}")
