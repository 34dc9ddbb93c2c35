"""A statement as the driver takes it: compiled once, its values and rows converted by its columns' own types."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

Statement: TypeAlias = "sa.Select[Any] | sa.UpdateBase | sa.TextualSelect"
Convert: TypeAlias = Callable[[Any], Any]


class Prepared:
    """Of a statement that is built once and sent often. What SQLAlchemy does for it at each call is done here once."""

    __slots__ = ("_defaults", "_names", "_readers", "_writers", "sql")

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        unfinished = (compiled.insert_prefetch, compiled.update_prefetch, compiled.post_compile_params)
        if any(unfinished) or compiled.literal_execute_params:
            raise ValueError("the statement has values that only each call could make")
        self.sql = compiled.string
        self._names = tuple(compiled.positiontup or ())
        self._defaults = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        types = [compiled.binds[name].type.dialect_impl(dialect) for name in self._names]
        converts = [kind.bind_processor(dialect) for kind in types]
        self._writers = tuple((n, convert) for n, convert in enumerate(converts) if convert is not None)
        readers = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in statement.exported_columns
        ]
        self._readers = tuple((n, convert) for n, convert in enumerate(readers) if convert is not None)

    def values(self, given: Mapping[str, object]) -> list[object]:
        """In the order of the placeholders; raises KeyError for one that is missing."""
        known: Mapping[str, object] = {**self._defaults, **given} if self._defaults else given
        values = [known[name] for name in self._names]
        for place, convert in self._writers:
            values[place] = convert(values[place])
        return values

    def rows(self, found: Sequence[Sequence[Any]]) -> list[list[Any]]:
        rows = [list(row) for row in found]
        for place, convert in self._readers:
            for row in rows:
                row[place] = convert(row[place])
        return rows
