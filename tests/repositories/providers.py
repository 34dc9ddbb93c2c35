"""What model providers refuse in a list of messages, written from their rules and errors, not from our code.

OpenAI: "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'",
"messages with role 'tool' must be a response to a preceeding message with 'tool_calls'", an empty array is too short.
Anthropic: "`tool_use` ids were found without `tool_result` blocks immediately after", "unexpected `tool_use_id` found
in `tool_result` blocks", "`tool_use` ids must be unique", "all messages must have non-empty content".
"""

from collections.abc import Sequence
from typing import Any

from models import Role
from repositories import MessageRecord


def refusal(records: Sequence[MessageRecord]) -> str | None:
    """Why one of them would refuse these; None: both take them."""
    return refused_by_openai(records) or refused_by_anthropic(records)


def refused_by_openai(records: Sequence[MessageRecord]) -> str | None:
    waiting: list[str] = []
    for record in records:
        if record.role == "tool":
            if record.tool_calls is not None:
                return "tool_calls of a tool"
            if record.tool_call_id not in waiting:
                return "role 'tool' must be a response to a preceding message with 'tool_calls'"
            waiting.remove(record.tool_call_id)
            continue
        if waiting:
            return "'tool_calls' must be followed by tool messages responding to each 'tool_call_id'"
        if record.tool_calls is not None:
            if record.role != "assistant":
                return "tool_calls of another role"
            if record.tool_calls == []:
                return "[] is too short"
            for call in record.tool_calls:
                if not isinstance(call, dict) or not isinstance(call.get("id"), str) or not call["id"]:
                    return "id is not a string"
                waiting.append(call["id"])
    return "'tool_calls' must be followed by tool messages" if waiting else None


def refused_by_anthropic(records: Sequence[MessageRecord]) -> str | None:
    ids: set[str] = set()
    before: list[str] = []
    for role, blocks in as_anthropic(records):
        if not blocks:
            return "all messages must have non-empty content"
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if missing := set(before) - set(results):
            return f"tool_use ids were found without tool_result blocks immediately after: {missing}"
        if set(results) - set(before):
            return "unexpected tool_use_id found in tool_result blocks"
        if len(results) != len(set(results)):
            return "each tool_use must have a single result"
        if results and [block["type"] for block in blocks][: len(results)] != ["tool_result"] * len(results):
            return "must begin with a matching number of tool_result blocks"
        before = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if role == "assistant":
            if ids & set(before) or len(before) != len(set(before)):
                return "tool_use ids must be unique"
            ids |= set(before)
    return "tool_use without tool_result" if before else None


def as_anthropic(records: Sequence[MessageRecord]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Blocks; results and what the user says next are one message, and system messages stand elsewhere."""
    messages: list[tuple[str, list[dict[str, Any]]]] = []
    for record in records:
        if record.role in (Role.SYSTEM, Role.DEVELOPER):
            continue
        # A user's message may be an attachment without text: that is not ours to judge.
        has_text = record.role is Role.USER or (record.role is Role.ASSISTANT and record.content.strip())
        blocks: list[dict[str, Any]] = [{"type": "text"}] if has_text else []
        if record.role is Role.TOOL:
            blocks = [{"type": "tool_result", "tool_use_id": record.tool_call_id}]
        blocks += [{"type": "tool_use", "id": call["id"]} for call in record.tool_calls or []]
        role = "assistant" if record.role is Role.ASSISTANT else "user"
        if role == "user" and messages and messages[-1][0] == "user":
            messages[-1][1].extend(blocks)
        else:
            messages.append((role, blocks))
    return messages
