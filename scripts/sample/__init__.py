"""The sample that ships with the project, written for it: two personas and what Maren told them."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

CONVERSATIONS = Path(__file__).with_name("conversations.jsonl")


@dataclass(frozen=True, slots=True)
class SampleModule:
    name: str
    description: str
    content: str | None
    type: str
    trigger_pattern: str | None
    script: str | None
    execution_context: str
    requires_ai_inference: bool
    stage_priority: int


@dataclass(frozen=True, slots=True)
class SamplePersona:
    """A persona; `modules` are the names of those it uses."""

    name: str
    description: str
    template: str
    mode: str
    first_message: str
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SampleQuestion:
    """What the demo asks, and the memory (its id in the conversation's lines) that answers it."""

    persona: str
    question: str
    conversation: str
    expected_memory: str


@dataclass(frozen=True, slots=True)
class Sample:
    owner_id: str
    personas: tuple[SamplePersona, ...]
    modules: tuple[SampleModule, ...]
    questions: tuple[SampleQuestion, ...]


def load_sample() -> Sample:
    """Read personas.json; the conversations are read like any import, from CONVERSATIONS."""
    text = Path(__file__).with_name("personas.json").read_bytes()
    return TypeAdapter(Sample).validate_json(text)
