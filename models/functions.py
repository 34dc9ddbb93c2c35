"""The SQL functions that each database spells in its own way."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

__all__ = ["ExactSum", "Microseconds"]


class Microseconds(GenericFunction[int]):
    """A stored time as whole microseconds since 1970: exact, so that the database can sum the time between two."""

    name = "microseconds"
    type = sa.BigInteger()
    inherit_cache = True


@compiles(Microseconds, "postgresql")
def _microseconds_on_postgresql(element: Microseconds, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(EXTRACT(epoch FROM {compiler.process(element.clauses, **options)}) * 1000000 AS BIGINT)"


@compiles(Microseconds, "sqlite")
def _microseconds_on_sqlite(element: Microseconds, compiler: SQLCompiler, **options: Any) -> str:
    # A time is stored as text, its microseconds in six digits after the second.
    time = compiler.process(element.clauses, **options)
    return f"(CAST(strftime('%s', {time}) AS INTEGER) * 1000000 + CAST(substr({time}, 21, 6) AS INTEGER))"


class ExactSum(GenericFunction[int]):
    """Two integers together, refused beyond 64 bits: there SQLite's own `+` makes them a float, and goes on."""

    name = "exact_sum"
    type = sa.BigInteger()
    inherit_cache = True


@compiles(ExactSum)
def _exact_sum(element: ExactSum, compiler: SQLCompiler, **options: Any) -> str:
    one, other = (compiler.process(part, **options) for part in element.clauses)
    return f"({one} + {other})"


@compiles(ExactSum, "sqlite")
def _exact_sum_on_sqlite(element: ExactSum, compiler: SQLCompiler, **options: Any) -> str:
    return f"exact_sum({compiler.process(element.clauses, **options)})"
