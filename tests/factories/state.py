"""Values that a conversation keeps between two replies."""

import factory

from models import State
from tests.factories.base import AsyncFactory, Parent
from tests.factories.conversation import ConversationFactory


class StateFactory(AsyncFactory[State]):
    class Meta:
        model = State

    conversation_id = Parent(ConversationFactory)
    state_key = factory.Sequence(lambda n: f"key_{n}")
    state_value = factory.LazyFunction(lambda: {"mood": "calm"})
