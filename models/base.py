"""What every table shares: naming of constraints, validation, and the turn of plain fields into portable columns."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import ConfigDict, ValidationError, field_validator
from pydantic.fields import FieldInfo
from sqlalchemy.orm.attributes import set_attribute
from sqlmodel import Field, SQLModel
from sqlmodel.sql import sqltypes
from uuid_utils.compat import uuid7

from models.types import Money, StringEnum, UTCDateTime
from models.values import check_integer, check_number, check_text, check_time

SQLModel.metadata.naming_convention = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
metadata = SQLModel.metadata

ABSENT = object()


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): ordered by time, so that inserts stay local in the index."""
    return uuid7()


def utc_now() -> datetime:
    return datetime.now(UTC)


class _Checks(dict[type[object], Callable[[Any], object] | None]):
    """What a value of each type is held to, wherever it stands; what is not told here is told by its parents."""

    def __missing__(self, kind: type[object]) -> Callable[[Any], object] | None:
        check = next((self[parent] for parent in kind.__mro__[1:] if parent in self), None)
        self[kind] = check
        return check


CHECKS = _Checks({str: check_text, datetime: check_time, bool: None, int: check_integer, float: check_number})


class Base(SQLModel):
    """A table whose plain fields become portable columns and whose objects are valid at all times.

    `str` with `max_length` is TEXT with a CHECK, a StrEnum is text with a CHECK, `int` is BIGINT (with its bounds as a
    CHECK), `Decimal` is exact money, and `description` is the column's comment.
    """

    model_config = ConfigDict(validate_assignment=True, extra="forbid", hide_input_in_errors=True)  # type: ignore[assignment]  # SQLModel narrows the type of the dict

    @classmethod
    def __table_cls__(cls, name: str, metadata: sa.MetaData, *items: Any, **options: Any) -> sa.Table:
        columns = sorted((item for item in items if isinstance(item, sa.Column)), key=_reading_order)
        checks = [check for column in columns for check in _portable(column, cls.model_fields)]
        others = [item for item in items if not isinstance(item, sa.Column)]
        return sa.Table(name, metadata, *columns, *others, *checks, **options)

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: object) -> object:
        """One rule for every value of a kind, so that no field can forget it."""
        check = CHECKS[type(value)]
        return value if check is None else check(value)

    def __setattr__(self, name: str, value: object) -> None:
        before = self.__dict__.get(name, ABSENT)
        try:
            super().__setattr__(name, value)
        except ValidationError:
            # SQLModel hands the value to SQLAlchemy before it validates: take it back, or a flush would store it.
            if before is ABSENT:
                self.__dict__.pop(name, None)
            else:
                set_attribute(self, name, before)
            raise

    def __repr_args__(self) -> Sequence[tuple[str | None, Any]]:
        """The key alone: a repr ends in logs, where content has no place."""
        keys = sa.inspect(type(self)).primary_key
        return [(column.name, self.__dict__.get(column.name)) for column in keys]


def _reading_order(column: sa.Column[Any]) -> int:
    """The key first, the times last, as people read a table."""
    return -1 if column.primary_key else int(column.name in ("created_at", "updated_at"))


def _portable(column: sa.Column[Any], fields: dict[str, FieldInfo]) -> list[sa.CheckConstraint]:
    """Give `column` its portable type and comment; return the CHECKs that hold its limits in the database."""
    field = fields[column.key]
    column.comment = field.description
    name = column.name
    longest = next((limit.max_length for limit in field.metadata if isinstance(limit, MaxLen)), None)
    shortest = next((limit.min_length for limit in field.metadata if isinstance(limit, MinLen)), 0)
    least = next((limit.ge for limit in field.metadata if isinstance(limit, Ge)), None)
    most = next((limit.le for limit in field.metadata if isinstance(limit, Le)), None)
    rules: list[tuple[str, str]] = []
    if isinstance(column.type, sa.Enum):
        kind = column.type.enum_class
        assert kind is not None
        assert issubclass(kind, StrEnum)
        column.type = StringEnum(kind)
        values = ", ".join(f"'{member.value}'" for member in kind)
        rules.append((f"{name}", f"{name} IN ({values})"))
    elif isinstance(column.type, sqltypes.AutoString):
        column.type = sa.Text()
    elif isinstance(column.type, sa.Integer):
        column.type = sa.BigInteger()
    elif isinstance(column.type, sqltypes.UTCDateTime):
        column.type = UTCDateTime()
    elif isinstance(column.type, sa.Numeric) and not isinstance(column.type, sa.Float):
        column.type = Money()
    if longest is not None:
        rules.append((f"{name}_length", f"length({name}) BETWEEN {shortest} AND {longest}"))
    if least is not None and most is not None:
        rules.append((f"{name}_range", f"{name} BETWEEN {least} AND {most}"))
    elif least is not None:
        rules.append((f"{name}_range", f"{name} >= {least}"))
    return [sa.CheckConstraint(text, name=rule) for rule, text in rules]


class Timestamped(Base):
    """A row that knows when it was made and last changed."""

    created_at: datetime = Field(
        default_factory=utc_now,
        sa_column_kwargs={"server_default": sa.text("CURRENT_TIMESTAMP")},
        description="When the row was made, UTC.",
    )
    updated_at: datetime = Field(
        default_factory=utc_now,
        sa_column_kwargs={"server_default": sa.text("CURRENT_TIMESTAMP"), "onupdate": utc_now},
        description="When a caller last changed the row, UTC.",
    )


class Entity(Timestamped):
    """A row with an id of its own."""

    id: UUID = Field(default_factory=new_id, primary_key=True, description="UUIDv7, made by the application.")
