"""Calls of a model, in no run unless one is given."""

from decimal import Decimal

from models import LLMCall
from tests.factories.base import AsyncFactory


class LLMCallFactory(AsyncFactory[LLMCall]):
    class Meta:
        model = LLMCall

    provider = "openai"
    model = "gpt-4o-mini"
    input_tokens = 120
    output_tokens = 40
    cost_usd = Decimal("0.0000420000")
    latency_ms = 800
