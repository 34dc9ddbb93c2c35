"""The `--map` of the import: where each of our fields is read from in another program's lines."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pydantic import JsonValue

from database.errors import InvalidInputError

FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "conversation": ("id", "title", "owner_id", "persona", "extra_data"),
        "message": (
            "id",
            "role",
            "name",
            "content",
            "sent_at",
            "episode",
            "tool_calls",
            "tool_call_id",
            "input_tokens",
            "output_tokens",
            "thinking",
            "extra_data",
        ),
        "memory": (
            "id",
            "content",
            "memory_type",
            "importance",
            "occurred_at",
            "first_message_id",
            "extra_data",
        ),
    }
)
CONSTANT_FIELDS = frozenset({"title", "owner_id", "persona", "role", "name", "memory_type"})
_KNOWN = frozenset(name for names in FIELDS.values() for name in names)


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Our field names and what stands for them: a field of theirs, or a constant."""

    sources: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "FieldMap":
        """Read `OURS=THEIRS` and `OURS=:CONSTANT`, repeated or separated by commas.

        Raises InvalidInputError("map") for anything else, a field given twice included.
        """
        sources: dict[str, str] = {}
        constants: dict[str, str] = {}
        for part in (part.strip() for text in texts for part in text.split(",")):
            if not part:
                continue
            ours, equals, theirs = (piece.strip() for piece in part.partition("="))
            if not equals or not theirs or theirs == ":":
                raise InvalidInputError("map", f"{part!r} is not OURS=THEIRS")
            if ours not in _KNOWN:
                raise InvalidInputError("map", f"{ours!r} is not one of {', '.join(sorted(_KNOWN))}")
            if ours in sources or ours in constants:
                raise InvalidInputError("map", f"{ours!r} is mapped twice")
            if not theirs.startswith(":"):
                sources[ours] = theirs
            elif ours in CONSTANT_FIELDS:
                constants[ours] = theirs[1:]
            else:
                allowed = ", ".join(sorted(CONSTANT_FIELDS))
                raise InvalidInputError("map", f"{ours!r} takes no constant; these do: {allowed}")
        return cls(sources, constants)

    def split(self, kind: str, record: Mapping[str, JsonValue]) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
        """Divide a line of one kind into our fields (null counts as absent) and the rest."""
        ours: dict[str, JsonValue] = {}
        used = {"type"}
        for name in FIELDS[kind]:
            source = self.sources.get(name, name)
            if name in self.constants:
                ours[name] = self.constants[name]
            elif source in record:
                used.add(source)
                if record[source] is not None:
                    ours[name] = record[source]
        rest = {name: value for name, value in record.items() if name not in used}
        return ours, rest
