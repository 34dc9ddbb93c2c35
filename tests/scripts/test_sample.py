"""The sample: whole, in the import format, and such that its modules can be stored."""

from itertools import pairwise

import regex

from models import Role
from models.module import ExecutionContext, ModuleType
from scripts.import_format import ConversationReader
from scripts.sample import CONVERSATIONS, load_sample


def test_the_sample_is_a_talk_of_weeks_between_one_person_and_two_personas() -> None:
    sample = load_sample()
    with CONVERSATIONS.open("rb") as lines:
        reader = ConversationReader(lines)
        talks = list(reader)
    assert reader.passed_over == {}
    messages = [message for talk in talks for message in talk.messages]
    assert 55 <= len(messages) <= 70
    assert {talk.persona for talk in talks} == {persona.name for persona in sample.personas}
    assert {talk.owner_id for talk in talks} == {sample.owner_id}
    assert {message.role for message in messages} == set(Role) - {Role.DEVELOPER}
    assert all(talk.memories for talk in talks)
    for talk in talks:
        times = [message.sent_at for message in talk.messages if message.sent_at]
        assert len(times) == len(talk.messages)
        assert times == sorted(times)
    days = {message.sent_at.date() for message in messages if message.sent_at}
    assert (max(days) - min(days)).days > 60


def test_the_samples_tool_results_answer_the_call_before_them() -> None:
    with CONVERSATIONS.open("rb") as lines:
        for talk in ConversationReader(lines):
            for call, result in pairwise(talk.messages):
                if result.role is Role.TOOL:
                    assert call.tool_calls is not None
                    (asked,) = call.tool_calls
                    assert isinstance(asked, dict)
                    assert asked["id"] == result.tool_call_id


def test_the_samples_modules_fit_their_columns_and_run_at_several_stages() -> None:
    sample = load_sample()
    names = [module.name for module in sample.modules]
    assert len(set(names)) == len(names)
    assert {name for persona in sample.personas for name in persona.modules} == set(names)
    for module in sample.modules:
        ModuleType(module.type)
        assert module.content or module.script
        if module.trigger_pattern is not None:
            regex.compile(module.trigger_pattern)
    stages = {(m.execution_context, m.requires_ai_inference) for m in sample.modules}
    assert {
        (ExecutionContext.IMMEDIATE.value, False),
        (ExecutionContext.IMMEDIATE.value, True),
        (ExecutionContext.POST_RESPONSE.value, False),
        (ExecutionContext.POST_RESPONSE.value, True),
        (ExecutionContext.ON_DEMAND.value, False),
    } == stages
