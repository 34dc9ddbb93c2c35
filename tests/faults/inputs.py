"""Odd inputs by kind, and by reflection every place of the repositories' public methods that takes each of them.

A new method or parameter is covered by itself; what the small tables below do not know raises KeyError.
"""

import base64
import inspect
import json
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from models import Base, EmbeddingSpace
from repositories import UnitOfWork
from repositories.embedder import Embedder
from repositories.message_record import NewMessage
from repositories.search import Ranking, RecallRanking
from repositories.unit_of_work import REPOSITORIES

WIDTH = 3
SPACE = EmbeddingSpace(id=UUID(int=0x50), name="plane", dimensions=WIDTH)
VECTOR = [1.0, 0.5, 0.25]

ROWS: dict[str, UUID] = {
    "personas": UUID(int=0x10),
    "modules": UUID(int=0x20),
    "conversations": UUID(int=0x30),
    "messages": UUID(int=0x40),
    "embedding_spaces": SPACE.id,
    "memories": UUID(int=0x60),
    "embeddings": UUID(int=0x70),
    "runs": UUID(int=0x80),
    "steps": UUID(int=0x90),
    "artifacts": UUID(int=0xA0),
    "llm_calls": UUID(int=0xB0),
}
"""One row of each noun, which `store` makes."""

ABSENT = UUID(int=0xDEAD)


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


TEXTS: dict[str, object] = {
    "empty": "",
    "NUL first": "\0ab",
    "NUL inside": "a\0b",
    "NUL last": "ab\0",
    "high surrogate": "a\ud800b",
    "low surrogate": "a\udc00b",
    "U+FFFE": "a\ufffeb",
    "right to left, joined": "\u202e\u05e9\u05dc\u05d5\u05dd \u200f 👩\u200d👩\u200d👧",
    "NFC": "caf\u00e9",
    "NFD": "cafe\u0301",
    "whitespace": " \t\n\u00a0\u3000 ",
    "DROP": "'; DROP TABLE messages; --",
    "quotes": "'\"" * 50_000,
    "1 MB": "x" * 1_000_000,
    "over 1 MB": "x" * 1_000_001,
    "percent": "50%_a%",
    "last backslash": "a\\",
    "a number": 5,
    "bytes": b"ab",
    "none": None,
}
QUERIES: dict[str, object] = {name: text for name, text in TEXTS.items() if "1 MB" not in name} | {
    text: text
    for text in (
        *("a &", '"', "'", "(", "AND", "NEAR(", "foo:bar", "*", "^", "-", "<->", "\\", "%", "_", "a OR", "NOT", "{a}:"),
        *("🙂", "2026-13-45", "two weeks ago", "in 2026", "999 years ago", "00 may 0000", "a" * 3_000, "a b " * 750),
    )
}
JSONS: dict[str, object] = {
    "NaN": {"a": float("nan")},
    "infinity": {"a": [float("inf")]},
    "minus infinity": {"a": float("-inf")},
    "minus zero": {"a": -0.0},
    "2**53+1": {"a": 2**53 + 1},
    "2**70": {"a": 2**70},
    "10**400": {"a": 10**400},
    "10**5000": {"a": 10**5_000},
    "1e308": {"a": 1e308, "b": 5e-324, "c": 0.1, "d": 1.0, "e": 1e23},
    "depth 100": {"a": nested(100)},
    "depth 500": {"a": nested(500)},
    "depth 5000": {"a": nested(5_000)},
    "int keys": {1: "a"},
    "none key": {None: "a"},
    "NUL key": {"a\0": 1},
    "NUL inside": {"a": ["\0"]},
    "surrogate": {"a": "\ud800"},
    "surrogate key": {"\udfff": 1},
    "null": {"a": None},
    "a list": [1, "a", None, {"b": [True]}],
    "a list of objects": [{"id": "c1", "name": "f"}],
    "a text": "text",
    "a set": {"a": {1}},
    "an object": {"a": object()},
    "bytes": {"a": b"a"},
    "time": {"a": datetime(2026, 1, 1, tzinfo=UTC)},
    "decimal": {"a": Decimal("1.5")},
    "none": None,
    "NFC and NFD keys": {"é": 1, "e\u0301": 2},
    "escapes": {"a": '\\u0000 \\ud800 " \\ / \b\f\n\r\t \u2028', "": ""},
}
VECTORS: dict[str, object] = {
    "too narrow": VECTOR[:-1],
    "too wide": [*VECTOR, 1.0],
    "empty": [],
    "NaN": [1.0, float("nan"), 0.0],
    "infinity": [1.0, float("inf"), 0.0],
    "1e39": [1.0, 1e39, 0.0],
    "1e-50": [1.0, 1e-50, 0.0],
    "tiny": [1e-50, 0.0, 0.0],
    "zero": [0.0, 0.0, 0.0],
    "float64": np.array([0.1, 0.2, 0.3], dtype=np.float64),
    "float16": np.array([0.1, 0.2, 0.3], dtype=np.float16),
    "integers": np.array([1, 2, 3]),
    "rows": np.ones((1, 3)),
    "strided": np.arange(6, dtype=np.float32)[::2],
    "strings": ["1", "2", "3"],
    "words": ["a", "b", "c"],
    "a text": "[1,2,3]",
    "nones": [None, 1.0, 1.0],
    "complex": [1j, 0, 0],
    "booleans": [True, False, True],
    "big integers": [10**40, 1, 1],
    "ragged": [[1.0], 2.0, 3.0],
    "a number": 5,
    "a dict": {"a": 1.0},
    "none": None,
}
TIMES: dict[str, object] = {
    "naive": datetime(2026, 1, 1, 12),
    "+14:00": datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=14))),
    "+05:30": datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "fold": datetime(2025, 10, 26, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    "year 1": datetime(1, 1, 1, tzinfo=UTC),
    "before year 1": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    "year 9999": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    "after year 9999": datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))),
    "microseconds": datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    "seconds in the offset": datetime(1900, 1, 1, tzinfo=timezone(timedelta(hours=1, seconds=7))),
    "a date": datetime(2026, 1, 1).date(),
    "a text": "2026-01-01T00:00:00Z",
    "a number": 5,
    "a huge number": 10**40,
    "none": None,
}
INTEGERS: dict[str, object] = {
    "-1": -1,
    "0": 0,
    "1": 1,
    "2**31": 2**31,
    "2**63-1": 2**63 - 1,
    "2**63": 2**63,
    "-2**63": -(2**63),
    "10**40": 10**40,
    "10**5000": 10**5_000,
    "True": True,
    '"5"': "5",
    "5.0": 5.0,
    "5.5": 5.5,
    "NaN": float("nan"),
    "numpy": np.int64(5),
    "none": None,
}
FLOATS: dict[str, object] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "-1": -1.0,
    "minus zero": -0.0,
    "5e-324": 5e-324,
    "0.1": 0.1,
    "1": 1,
    "2": 2.0,
    "1e308": 1e308,
    "10**400": 10**400,
    "True": True,
    '"0.5"': "0.5",
    "a word": "half",
    "numpy": np.float32(0.1),
    "none": None,
}
AMOUNTS: dict[str, object] = {
    text: Decimal(text)
    for text in ("NaN", "Infinity", "-0", "-1", "0.1", "1E-10", "1E-11", "99999999.9999999999", "1E8", "1E+400")
} | {"float": 0.1, "huge": 10**40, "a text": "0.25", "a word": "free", "none": None, "True": True}
BOOLEANS: dict[str, object] = {"true": True, "false": False, "none": None, "2": 2, '"yes"': "yes", "a word": "a"}
IDS: dict[str, object] = {
    "no uuid": "not-a-uuid",
    "nil": UUID(int=0),
    "a text": "00000000-0000-0000-0000-00000000dead",
    "upper case": "00000000-0000-0000-0000-00000000DEAD",
    "braces": "{00000000-0000-0000-0000-00000000dead}",
    "urn": "urn:uuid:00000000-0000-0000-0000-00000000dead",
    "no dashes": ABSENT.hex,
    "absent": ABSENT,
    "bytes": ABSENT.bytes,
    "a number": 5,
    "a tuple": (1, 2),
    "NUL": "\0",
    "surrogate": "\ud800",
    "empty": "",
    "none": None,
}
WORDS: dict[str, object] = {
    name: TEXTS[name] for name in ("empty", "NUL inside", "high surrogate", "DROP", "1 MB", "a number", "none")
} | {"upper case": "USER", "an id": ABSENT}
OBJECTS: dict[str, object] = {"a text": "text", "a number": 5, "an id": ABSENT, "a dict": {}, "none": None}


def cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


CURSORS: dict[str, object] = {
    "empty": "",
    "garbage": "garbage!",
    "no base64": "a" * 5,
    "NUL": "\0",
    "surrogate": "\ud800",
    "emoji": "🙂",
    "no JSON": base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    "an object": base64.urlsafe_b64encode(b"{}").decode(),
    "deep": base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    "digits": base64.urlsafe_b64encode(b'["x",' + b"9" * 5_000 + b"]").decode(),
    "1 MB": "A" * 1_000_000,
    "a number": 5,
    "bytes": b"W10",
    "none": None,
}
"""And those of every page itself, truncated and changed: see `cursors_of`."""


def cursors_of(own: str) -> dict[str, object]:
    """What a caller might make of a page's own cursor."""
    order, *keys = json.loads(base64.urlsafe_b64decode(own + "=" * (-len(own) % 4)))
    return {
        "its own": own,
        "truncated": own[:-3],
        "longer": own + "AAAA",
        "lower case": own.lower(),
        "another page's": cursor("x:id:True", *keys),
        "a key less": cursor(order, *keys[1:]),
        "a key more": cursor(order, *keys, 1),
        "keys of nothing": cursor(order, *(None for _ in keys)),
        "huge keys": cursor(order, *(10**40 for _ in keys)),
        "texts": cursor(order, *("\ud800\0" for _ in keys)),
        "first times": cursor(order, *("0001-01-01T00:00:00+00:00" for _ in keys[1:]), str(UUID(int=1))),
        "naive times": cursor(order, *("2026-01-01T00:00:00" for _ in keys[1:]), str(UUID(int=1))),
        "zones beyond": cursor(order, *("0001-01-01T00:00:00+14:00" for _ in keys[1:]), str(UUID(int=1))),
        "no ids": cursor(order, *keys[:-1], "{"),
    }


KINDS: dict[str, Mapping[str, object]] = {
    "text": TEXTS,
    "query": QUERIES,
    "json": JSONS,
    "vector": VECTORS,
    "time": TIMES,
    "integer": INTEGERS,
    "number": FLOATS,
    "amount": AMOUNTS,
    "boolean": BOOLEANS,
    "id": IDS,
    "word": WORDS,
    "object": OBJECTS,
    "cursor": CURSORS,
    "ids": {f"of {name}": [value] for name, value in IDS.items()} | {"1001": [ABSENT] * 1_001, "none": []},
    "words": {f"of {name}": [value] for name, value in WORDS.items()},
    "nothing": {},
}

FEW: dict[str, tuple[str, ...]] = {
    "text": ("NUL inside", "low surrogate", "NFD", "over 1 MB"),
    "json": ("NaN", "2**70", "10**5000", "depth 5000", "NUL key", "escapes"),
    "vector": ("too narrow", "NaN", "zero", "1e39", "big integers"),
    "time": ("naive", "+14:00", "year 9999", "microseconds"),
    "integer": ("-1", "2**63", "10**5000", "True", '"5"'),
    "id": ("no uuid", "absent", "NUL"),
    "ids": ("of no uuid", "of absent", "1001"),
    "words": ("of NUL inside", "of DROP"),
    "word": ("NUL inside", "upper case"),
    "boolean": ("none", "2"),
}
"""Where a parameter of this name, or the same column of one row, has heard the whole list already."""

WHOLE = {
    ("messages", "append"),
    ("messages", "search"),
    ("memories", "remember"),
    ("memories", "recall"),
    ("states", "set"),
}

NEEDED: dict[str, object] = {
    "persona_id": ROWS["personas"],
    "module_id": ROWS["modules"],
    "conversation_id": ROWS["conversations"],
    "run_id": ROWS["runs"],
    "space": SPACE,
    "name": "a name",
    "template": "a template",
    "title": "a title",
    "text": "hello",
    "content": "hello",
    "role": "user",
    "key": "mood",
    "value": {"a": 1},
    "version": 1,
    "vector": VECTOR,
    "dimensions": WIDTH,
    "source_type": "note",
    "source_id": "one",
    "actor": "agent",
    "idempotency_key": "k",
    "status": "failed",
    "provider": "p",
    "model": "m",
    "url": "https://example.com/x",
}
"""A good value for whatever must be given, by its name."""

NEW: dict[str, dict[str, object]] = {
    "personas": {"name": "a name", "template": "a template"},
    "modules": {"name": "a name", "content": "a content"},
    "conversations": {"title": "a title"},
    "messages": {"role": "user", "content": "hello"},
    "memories": {"content": "hello"},
    "embedding_spaces": {"name": "a name", "dimensions": WIDTH},
    "embeddings": {"source_type": "note", "source_id": "two", "content": "hello", "vector": VECTOR},
    "runs": {"actor": "agent"},
    "steps": {"run_id": ROWS["runs"], "name": "a name"},
    "artifacts": {"run_id": ROWS["runs"], "name": "a name", "url": "https://example.com/x"},
    "llm_calls": {"provider": "p", "model": "m"},
}
"""A good new row of each noun, for the bulk path."""

STATE: dict[str, object] = {"key": "mood", "value": 1}


@dataclass(frozen=True)
class Place:
    """Where a caller puts a value: `put` makes the arguments of the call from it."""

    noun: str
    verb: str
    path: str
    kind: str
    put: Callable[[object], dict[str, object]]

    @property
    def field(self) -> str:
        return self.path.rpartition(".")[2]


@dataclass(frozen=True)
class Case:
    place: Place
    label: str
    value: object

    @property
    def name(self) -> str:
        return f"{self.place.noun}.{self.place.verb}({self.place.path}={self.label})"

    def call(self, uow: UnitOfWork) -> Any:
        return call(uow, self.place.noun, self.place.verb, self.place.put(self.value))


def call(uow: UnitOfWork, noun: str, verb: str, arguments: Mapping[str, object]) -> Any:
    """Positional-only parameters go first, the others by their names."""
    method = getattr(getattr(uow, noun), verb)
    given = dict(arguments)
    first = [
        given.pop(name)
        for name, parameter in inspect.signature(method).parameters.items()
        if parameter.kind is parameter.POSITIONAL_ONLY
    ]
    return method(*first, **given)


def verbs() -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """Every public method of every repository of a unit of work."""
    for noun, repository in REPOSITORIES.items():
        for verb, method in inspect.getmembers(repository, inspect.isfunction):
            if not verb.startswith("_"):
                yield noun, verb, method


def places() -> Iterator[Place]:
    for noun, verb, method in verbs():
        yield from _places_of(noun, verb, method)


def needed(noun: str, verb: str, method: Callable[..., Any]) -> dict[str, object]:
    """Good arguments: what must be given."""
    given: dict[str, object] = {}
    hints = typing.get_type_hints(method)
    for name, parameter in inspect.signature(method).parameters.items():
        if name == "timeout":
            # So long that it does not pass on a busy machine.
            given[name] = 60.0
        if (noun, verb, name) == ("modules", "create", "content"):
            # Or a script: neither is needed by itself.
            given[name] = NEEDED[name]
        if name == "self":
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            columns = _columns(hints[name])
            given |= {column: NEEDED[column] for column in sorted(columns.__required_keys__)} if columns else {}
        elif parameter.default is parameter.empty:
            given[name] = _needed(noun, verb, name, hints[name])
    return given


def _needed(noun: str, verb: str, name: str, hint: object) -> object:
    if name == "id":
        return ROWS[noun]
    if name == "ids":
        return [ROWS[noun]]
    if name in ("rows", "messages"):
        return [NEW[noun]]
    if name == "vectors":
        return [(ROWS[noun], VECTOR)]
    return NEEDED[name]


def _places_of(noun: str, verb: str, method: Callable[..., Any]) -> Iterator[Place]:
    given = needed(noun, verb, method)
    hints = typing.get_type_hints(method)
    for name, parameter in inspect.signature(method).parameters.items():
        if name == "self":
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            columns = _columns(hints[name])
            fields = dict(typing.get_type_hints(columns)) if columns else _fields(noun)
            for field, hint in {**fields, "nothing": str}.items():
                yield _place(noun, verb, field, kind_of(field, hint), given, [field])
        elif name in ("rows", "messages", "states"):
            rows = {"rows": _fields(noun), "messages": _fields("messages", bulk=True), "states": STATE_FIELDS}[name]
            row = STATE if name == "states" else NEW[noun]
            for field, hint in rows.items():
                yield _place(
                    noun, verb, f"{name}.{field}", kind_of(field, hint), {**given, name: [row]}, [name, 0, field]
                )
        elif name == "vectors":
            yield _place(noun, verb, "vectors.id", "id", given, [name, 0, 0])
            yield _place(noun, verb, "vectors.vector", "vector", given, [name, 0, 1])
        else:
            yield _place(noun, verb, name, kind_of(name, hints[name]), given, [name])


def _place(
    noun: str, verb: str, path: str, kind: str, given: Mapping[str, object], where: Sequence[str | int]
) -> Place:
    return Place(noun, verb, path, kind, lambda value: typing.cast(dict[str, object], _with(given, where, value)))


def _with(inside: Any, where: Sequence[str | int], value: object) -> object:
    """A copy of `inside` with the value at that place."""
    if not where:
        return value
    place, *rest = where
    if isinstance(inside, Mapping):
        return {**inside, place: _with(inside.get(place), rest, value)}
    copy = list(inside)
    copy[typing.cast(int, place)] = _with(copy[typing.cast(int, place)], rest, value)
    return tuple(copy) if isinstance(inside, tuple) else copy


STATE_FIELDS: dict[str, object] = {"key": str, "value": object, "persona_id": UUID, "module_id": UUID, "nothing": str}


def _columns(hint: Any) -> Any:
    """The TypedDict of `**columns: Unpack[...]`; None for any other."""
    [inner] = typing.get_args(hint) or (None,)
    return inner


def _fields(noun: str, *, bulk: bool = False) -> dict[str, object]:
    """The columns of a noun, and what its bulk path takes besides."""
    if bulk:
        return {**typing.get_type_hints(NewMessage), "nothing": str}
    repository: Any = REPOSITORIES[noun]
    model: type[Base] = repository.model
    fields: dict[str, object] = {name: field.annotation for name, field in model.model_fields.items()}
    return {**fields, "vector": Sequence[float], "nothing": str}


def kind_of(name: str, hint: Any) -> str:
    """Which inputs a parameter hears; raises KeyError for a hint that nobody has thought of."""
    members = [member for member in _members(hint) if member is not type(None)]
    if str in members and name in ("after", "text"):
        return "cursor" if name == "after" else "query"
    for member in members:
        kind = _kind(member)
        if kind is not None:
            return kind
    raise KeyError(f"{name}: {hint}")


def _members(hint: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _members(typing.get_args(hint)[0])
    if origin in (types.UnionType, typing.Union):
        return tuple(member for one in typing.get_args(hint) for member in _members(one))
    return (hint,)


PLAIN: dict[Any, str] = {
    UUID: "id",
    bool: "boolean",
    int: "integer",
    float: "number",
    datetime: "time",
    Decimal: "amount",
    str: "text",
    object: "json",
    Any: "json",
    EmbeddingSpace: "object",
    Embedder: "object",
    Ranking: "object",
    RecallRanking: "object",
}


def _kind(hint: Any) -> str | None:
    if hint in PLAIN:
        return PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return "word"
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return "word"
    if origin is Callable:
        return "nothing"
    if parts and parts[0] is float:
        return "vector"
    if origin is Iterable or origin is Collection:
        return "ids" if parts[0] is UUID else "words"
    return "json" if origin in (dict, list, Mapping, Sequence) else None


def cases() -> Iterator[Case]:
    """The whole list for a parameter of some name, and for each of the verbs that hear most; else a few of it."""
    seen: set[tuple[str, str]] = set()
    for place in places():
        again = (place.kind, place.path) in seen or "." in place.path or place.verb in ("update", "edit")
        again = again and (place.noun, place.verb) not in WHOLE
        seen.add((place.kind, place.path))
        values = KINDS[place.kind]
        for label in FEW.get(place.kind, values) if again else values:
            yield Case(place, label, values[label])


async def store_space(uow: UnitOfWork) -> None:
    """The one space of all owners, active."""
    await uow.embedding_spaces.create(name=SPACE.name, dimensions=WIDTH, id=SPACE.id)
    await uow.embedding_spaces.activate(SPACE.id)


async def store(uow: UnitOfWork, shift: int = 0, word: str = "hello") -> None:
    """A row of each noun, with the same ids (moved by `shift`) and texts wherever it is called."""
    ids: dict[str, Any] = {noun: {"id": moved(id, shift)} for noun, id in ROWS.items()}
    talk, run, persona = ids["conversations"]["id"], ids["runs"]["id"], ids["personas"]["id"]
    await uow.personas.create(name=f"{word} 50%", template=word, **ids["personas"])
    await uow.modules.create(name=word, content=word, trigger_pattern=f"{word}|hello", **ids["modules"])
    await uow.personas.add_module(persona, ids["modules"]["id"])
    await uow.conversations.create(title=f"{word} there", persona_id=persona, **ids["conversations"])
    sent = datetime(2026, 1, 1, tzinfo=UTC)
    said: dict[str, Any] = {"content": f"{word} hello there", "sent_at": sent}
    await uow.messages.append(talk, role="user", vector=VECTOR, **said, **ids["messages"])
    await uow.messages.append(talk, role="assistant", tool_calls=[{"id": "c1"}], **said, id=moved(OPEN_CALL, shift))
    await uow.states.set(talk, "mood", {word: [1, None]})
    await uow.memories.remember(f"{word} hello", vector=VECTOR, conversation_id=talk, **ids["memories"])
    text: dict[str, Any] = {"source_id": "one", "content": word, "vector": VECTOR, "extra_data": {"a": word}}
    await uow.embeddings.create(source_type="note", **text, **ids["embeddings"])
    await uow.runs.save(actor="agent", idempotency_key="k", conversation_id=talk, error=word, **ids["runs"])
    await uow.runs.add_step(run, name=word, **ids["steps"])
    await uow.runs.add_artifact(run, name=word, url="https://example.com/a.pdf", **ids["artifacts"])
    await uow.runs.add_llm_call(run, provider="p", model=word, cost_usd=Decimal("0.1"), **ids["llm_calls"])


def moved(value: Any, shift: int) -> Any:
    """Arguments with other rows' ids: those of `ROWS`, except the one space, stand this far away."""
    if isinstance(value, UUID):
        return (
            UUID(int=value.int + shift)
            if (value in ROWS.values() and value != SPACE.id) or value == OPEN_CALL
            else value
        )
    if isinstance(value, dict):
        return {name: moved(item, shift) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(moved(item, shift) for item in value)
    return value


OPEN_CALL = UUID(int=0x41)
"""A second message, that asks for a call which nobody has answered."""
