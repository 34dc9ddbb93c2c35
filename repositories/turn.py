"""Tool calls and their results as pairs: what a turn must keep, which calls are open, what a model provider takes.

An assistant's message asks for calls, each a mapping with an `id`, as providers make them; a tool's message answers one
by its `tool_call_id`. Nothing else in a call is looked at.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from database.errors import InvalidInputError
from models import Role
from models.values import JsonArray
from repositories.message_record import MessageRecord

LONGEST_ID = 255
"""What `tool_call_id` holds: a call with a longer id has no result."""


class Said(NamedTuple):
    """What these rules look at in a message."""

    role: Role
    tool_calls: JsonArray | None
    tool_call_id: str | None


def call_id(call: object) -> str | None:
    """None: it has no id that a result could name."""
    id = call.get("id") if isinstance(call, Mapping) else None
    return id if isinstance(id, str) and 1 <= len(id) <= LONGEST_ID else None


def answers(messages: Sequence[Said]) -> dict[int, dict[str, int]]:
    """For the place of each message with calls: by the id of a call, the place of its result, where there is one, in
    the order of the results.

    A result answers the nearest call before it that has its id and no result yet: some providers count their calls
    from 0 in every answer.
    """
    found: dict[int, dict[str, int]] = {}
    waiting: dict[str, list[int]] = {}
    for place, message in enumerate(messages):
        for id in _call_ids(message):
            found.setdefault(place, {})
            waiting.setdefault(id, []).append(place)
        if message.role is Role.TOOL and message.tool_call_id and waiting.get(message.tool_call_id):
            found[waiting[message.tool_call_id].pop()][message.tool_call_id] = place
    return found


def open_calls(messages: Sequence[Said]) -> list[list[str]]:
    """The ids of the calls without a result, message by message."""
    left = [
        [id for id in _call_ids(messages[place]) if id not in answered] for place, answered in answers(messages).items()
    ]
    return [ids for ids in left if ids]


def check_turn(turn: Sequence[Said], open_before: Sequence[Collection[str]] = ()) -> None:
    """Raises InvalidInputError unless each call of the turn has its result directly behind it, and each result a call.

    A turn may begin with results for a message whose calls were open before; then for all of them.
    """
    before = [set(ids) for ids in open_before]
    asked: set[str] = set()
    waiting: set[str] = set()
    for message in turn:
        if message.role is not Role.TOOL:
            if waiting:
                raise InvalidInputError("tool_calls", "a call has no result before the next message")
            before, waiting = [], _asked(message, asked)
            asked |= waiting
            continue
        if message.tool_calls:
            raise InvalidInputError("tool_calls", "only an assistant calls tools")
        answer = message.tool_call_id or ""
        if answer not in waiting:
            known = next((ids for ids in before if answer in ids), None)
            if known is None:
                raise InvalidInputError("tool_call_id", "answers no open call before it")
            before.remove(known)
            waiting |= known
        waiting.discard(answer)
    if waiting:
        raise InvalidInputError("tool_calls", "a call has no result in the turn")


def acceptable(records: Sequence[MessageRecord]) -> list[MessageRecord]:
    """The messages as a model provider takes them; those that are so already come back as they are.

    A result stands directly behind its call, also where it was said later. A call without a result, a result without a
    call, and what an assistant's message is without text and calls are left out. An id that an earlier call has as well
    is made another's, in the call and in its result.
    """
    found = answers([Said(record.role, record.tool_calls, record.tool_call_id) for record in records])
    taken: set[str] = set()
    kept: list[MessageRecord] = []
    for place, record in enumerate(records):
        if record.role is Role.TOOL:
            continue
        results = found.get(place, {})
        names: dict[str, str] = {}
        calls: JsonArray = []
        for call in record.tool_calls or []:
            id = call_id(call)
            if id in results and id not in names:
                names[id] = _untaken(id, record.position, taken)
                calls.append({**call, "id": names[id]})
        if record.role is Role.ASSISTANT and not calls and not record.content.strip():
            continue
        kept.append(record if record.tool_calls == (calls or None) else record._replace(tool_calls=calls or None))
        for id, answer in results.items():
            result = records[answer]
            as_it_is = names[id] == id and result.tool_calls is None
            kept.append(result if as_it_is else result._replace(tool_call_id=names[id], tool_calls=None))
    return kept


def _call_ids(message: Said) -> list[str]:
    calls = message.tool_calls or [] if message.role is Role.ASSISTANT else []
    return list(dict.fromkeys(id for id in map(call_id, calls) if id is not None))


def _asked(message: Said, before: Collection[str]) -> set[str]:
    """The calls of a message that is not a tool's."""
    if message.tool_call_id is not None:
        raise InvalidInputError("tool_call_id", "only a tool answers a call")
    if not message.tool_calls:
        return set()
    if message.role is not Role.ASSISTANT:
        raise InvalidInputError("tool_calls", "only an assistant calls tools")
    ids = [id for id in map(call_id, message.tool_calls) if id is not None]
    if len(ids) < len(message.tool_calls):
        raise InvalidInputError("tool_calls", f"each needs an id, a text of 1 to {LONGEST_ID} characters")
    if len({*ids, *before}) < len(ids) + len(before):
        raise InvalidInputError("tool_calls", "an id is used twice in the turn")
    return set(ids)


def _untaken(id: str, position: int, taken: set[str]) -> str:
    """The id, or, where an earlier call of the history has it, the id with the position of its message."""
    name = id if id not in taken else f"{id[:200]}-{position}"
    while name in taken:
        name += "-"
    taken.add(name)
    return name
