"""A revision in the words of both databases, whichever of them autogenerate looked at."""

import re
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.util import CommandError
from pgvector.sqlalchemy import HALFVEC, VECTOR
from sqlalchemy.dialects import postgresql

from models.types import Json, Money, UTCDateTime, Vector
from models.values import MONEY_DIGITS, MONEY_PLACES

AnyType = sa.types.TypeEngine[Any]

DIALECTS: dict[str, sa.Dialect] = {name: sa.make_url(f"{name}://").get_dialect()() for name in ("postgresql", "sqlite")}


def stored(kind: AnyType, database: str) -> AnyType:
    """What `database` keeps for a type: a decorator's own choice for it."""
    dialect = DIALECTS[database]
    return kind.load_dialect_impl(dialect) if isinstance(kind, sa.types.TypeDecorator) else kind.dialect_impl(dialect)


def render_item(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """Hook of autogenerate: a type of ours or of the application as plain SQLAlchemy, so that history imports neither.

    A type decorator is written as what it stores: its own kind, and a variant where a database stores another.
    """
    if kind != "type":
        return False
    if isinstance(item, sa.types.TypeDecorator) and not type(item).__module__.startswith("sqlalchemy."):
        text = _plain(item.impl_instance, context)
        variants = {name: _plain(stored(item, name), context) for name in DIALECTS}
        return text + "".join(f'.with_variant({kind}, "{name}")' for name, kind in variants.items() if kind != text)
    if isinstance(item, postgresql.JSONB | VECTOR | HALFVEC):
        return _plain(item, context)
    return False


def _plain(kind: AnyType, context: AutogenContext) -> str:
    if isinstance(kind, VECTOR | HALFVEC):
        name = "VECTOR" if isinstance(kind, VECTOR) else "HALFVEC"
        context.imports.add(f"from pgvector.sqlalchemy import {name}")
        return f"{name}({kind.dim or ''})"
    if isinstance(kind, postgresql.JSONB):
        context.imports.add("from sqlalchemy.dialects import postgresql")
        return "postgresql.JSONB()"
    if isinstance(kind, sa.JSON):
        return "sa.JSON()"
    arguments = repr(kind).partition("(")[2]
    for base in type(kind).__mro__:
        if getattr(sa, base.__name__, None) is base:
            return f"sa.{base.__name__}({arguments}"
    for base in type(kind).__mro__:
        if getattr(postgresql, base.__name__, None) is base:
            context.imports.add("from sqlalchemy.dialects import postgresql")
            return f"postgresql.{base.__name__}({arguments}"
    raise CommandError(f"{kind!r} is a type of one database only; write this revision by hand.")


def read_back(column: sa.Column[Any], database: str) -> AnyType:
    """The portable type of a column that was read from `database`, or CommandError in a sentence."""
    kind = column.type
    if database == "sqlite":
        return _from_sqlite(column, kind)
    if isinstance(kind, sa.Numeric) and (kind.precision, kind.scale) == (MONEY_DIGITS, MONEY_PLACES):
        return Money()
    if isinstance(kind, VECTOR):
        return Vector()
    simple: list[tuple[type[AnyType], AnyType]] = [
        (sa.UUID, sa.Uuid()),
        (postgresql.JSONB, Json()),
        (sa.DOUBLE_PRECISION, sa.Float()),
        (postgresql.BYTEA, sa.LargeBinary()),
    ]
    for theirs, ours in simple:
        if isinstance(kind, theirs):
            return ours
    if isinstance(kind, sa.TIMESTAMP):
        return UTCDateTime() if kind.timezone else sa.DateTime()
    if isinstance(kind, postgresql.ENUM):
        return sa.Enum(*kind.enums, name=kind.name)
    if type(kind).__module__.startswith("sqlalchemy.dialects"):
        raise CommandError(f"{_place(column)} is of PostgreSQL's own type {kind}; write this revision by hand.")
    return kind


def _from_sqlite(column: sa.Column[Any], kind: AnyType) -> AnyType:
    if isinstance(kind, sa.CHAR) and kind.length == 32:
        return sa.Uuid()
    if isinstance(kind, sa.DateTime):
        return UTCDateTime()
    for generic in (sa.Boolean, sa.Float, sa.Date, sa.Time):
        if isinstance(kind, generic):
            return generic()
    raise CommandError(
        f"SQLite does not tell whether {_place(column)} is text or JSON, a number or money, bytes or a vector, and a "
        "downgrade has to put it back: run this autogenerate against PostgreSQL."
    )


def _place(column: sa.Column[Any]) -> str:
    table = getattr(column, "table", None)
    return column.name if table is None else f"{table.name}.{column.name}"


LITERAL = r"'(?:[^']|'')*'|-?[\d.]+|NULL"
KIND = r"[a-z]+(?: varying| precision| with(?:out)? time zone)?(?:\(\d+(?:,\d+)?\))?(?:\[\])?"


def portable_sql(text: str) -> str:
    """SQL that PostgreSQL has put into its own words, in the words of the models, which SQLite understands too.

    CommandError for what is left of PostgreSQL's own.
    """
    text = re.sub(rf"({LITERAL})::{KIND}", r"\1", text, flags=re.IGNORECASE)
    text = re.sub(rf"(\()?\b(\w+)(?(1)\))::({KIND})", lambda cast: f"CAST({cast[2]} AS {cast[3].upper()})", text)
    text = re.sub(rf"= ANY \((\()?ARRAY\[([^\]]*)\](?(1)\))(?:::{KIND})?\)", r"IN (\2)", text)
    text = re.sub(r"(\w+(?:\(\w+\))?) >= (-?[\d.]+) AND \1 <= (-?[\d.]+)", r"\1 BETWEEN \2 AND \3", text)
    text = re.sub(r"\bCOALESCE\(", "coalesce(", text)
    if "::" in text or "ARRAY[" in text or "nextval(" in text:
        raise CommandError(f"PostgreSQL's own SQL cannot be written for both databases: {text}")
    whole = text.startswith("(") and text.endswith(")") and "(" not in text[1:-1]
    return text[1:-1] if whole else text
