"""A statement as the driver takes it: compiled once, its values and rows converted by its columns' own types."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

Statement: TypeAlias = "sa.Select[Any] | sa.UpdateBase | sa.TextualSelect"
Convert: TypeAlias = Callable[[Any], Any]

NUMERIC = 1700
"""What SQLAlchemy asks of asyncpg's columns, and of numbers only: a float may come as one, and is made one then."""

MOST_IDS = 1_000
"""Kept for each column of ids that is stored as text."""


class Prepared:
    """Of a statement that is built once and sent often. What SQLAlchemy does for it at each call is done here once."""

    __slots__ = ("_defaults", "_readers", "_writers", "converts", "names", "sql")

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        unfinished = (compiled.insert_prefetch, compiled.update_prefetch, compiled.post_compile_params)
        if any(unfinished) or compiled.literal_execute_params:
            raise ValueError("the statement has values that only each call could make")
        self.sql = compiled.string
        self.names = tuple(compiled.positiontup or ())
        """Of the parameters, in the order of the placeholders; `converts`: what their types do to the values."""
        self._defaults = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        types = [compiled.binds[name].type.dialect_impl(dialect) for name in self.names]
        self.converts = tuple(kind.bind_processor(dialect) for kind in types)
        # By name: SQLite has a placeholder for each time that a name is used.
        by_name = dict(zip(self.names, self.converts, strict=True))
        self._writers = tuple((name, convert) for name, convert in by_name.items() if convert is not None)
        readers = [_reader(column.type, dialect) for column in statement.exported_columns]
        self._readers = tuple((n, convert) for n, convert in enumerate(readers) if convert is not None)

    def values(self, given: Mapping[str, object]) -> list[object]:
        """In the order of the placeholders; raises KeyError for one that is missing."""
        values = {**self._defaults, **given}
        for name, convert in self._writers:
            values[name] = convert(values[name])
        return [values[name] for name in self.names]

    def rows(self, found: Iterable[Sequence[Any]]) -> list[list[Any]]:
        """Each as a list, in the order of the columns; NULL is None, whatever the type."""
        rows = []
        for values in found:
            row = [*values]
            for place, convert in self._readers:
                if row[place] is not None:
                    row[place] = convert(row[place])
            rows.append(row)
        return rows


def _reader(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> Convert | None:
    convert = kind.dialect_impl(dialect).result_processor(dialect, NUMERIC)
    if convert is not None and isinstance(kind, sa.Uuid):
        # One conversation's id stands in each of its messages, and the last of them are read again and again.
        return lru_cache(maxsize=MOST_IDS)(convert)
    return convert
