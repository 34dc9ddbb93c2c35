"""What a search is on every database: what is asked, what comes back, and what an index of a space is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, overload
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncConnection

from database import Database, Session
from database.errors import InvalidInputError
from models import EmbeddingSpace
from models.types import Vector

if TYPE_CHECKING:
    from repositories.search.memories import MemoryQuery
    from repositories.search.messages import MessageQuery

HitT = TypeVar("HitT", covariant=True)

Mode = Literal["auto", "exact", "approximate"]

Rows = Sequence[Mapping[str, Any]]

MODES = ("auto", "exact", "approximate")


def check_mode(mode: object) -> None:
    if mode not in MODES:
        raise InvalidInputError("mode", f"is none of {', '.join(MODES)}")


@dataclass(frozen=True, slots=True)
class SearchResult(Sequence[HitT], Generic[HitT]):
    """Hits, the best first. `exact`: no vector in the scope is nearer than these; else an index was asked."""

    hits: tuple[HitT, ...]
    exact: bool

    @overload
    def __getitem__(self, place: int) -> HitT: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[HitT]: ...
    def __getitem__(self, place: int | slice) -> HitT | Sequence[HitT]:
        return self.hits[place]

    def __len__(self) -> int:
        return len(self.hits)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A kind of row that has vectors, in `table` by `key`. Its rows are `r` in SQL, and `vectors` says where a row's
    vector is.

    `filters` are the conditions that a search may ask for, by the name of their one parameter.
    """

    table: str
    key: str
    rows: str
    vectors: str
    row_table: sa.Table
    columns: tuple[str, ...]
    filters: Mapping[str, tuple[str, sa.types.TypeEngine[Any]]]

    @property
    def read(self) -> str:
        return ", ".join(f"r.{name}" for name in self.columns)


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """The nearest rows of a source to a vector of a space, among those that pass every filter."""

    source: Source
    space: EmbeddingSpace
    vector: NDArray[np.float32]
    limit: int
    filters: Mapping[str, object]
    mode: Mode = "auto"

    def __post_init__(self) -> None:
        check_mode(self.mode)

    @property
    def conditions(self) -> str:
        """SQL that follows the condition on the space."""
        return "".join(f"\n    AND {self.source.filters[name][0]}" for name in self.filters)

    def statement(self, sql: str, *parameters: str, besides: tuple[str, ...] = ()) -> sa.TextualSelect:
        """`sql` with the types of its parameters, besides the filters', and of the columns that it answers: the
        source's, the score, and what it tells `besides`."""
        return _statement(sql, self.source, (*self.filters, *parameters), besides)


PARAMETERS: dict[str, sa.types.TypeEngine[Any]] = {"vector": Vector(), "space": sa.Uuid()}


@lru_cache(maxsize=1_000)
def _statement(sql: str, source: Source, parameters: tuple[str, ...], besides: tuple[str, ...]) -> sa.TextualSelect:
    """Built once for each text: a search is asked often, in few forms."""
    types = PARAMETERS | {name: kind for name, (_, kind) in source.filters.items()}
    columns = [source.row_table.c[name] for name in source.columns]
    bound = sa.text(sql).bindparams(*(sa.bindparam(name, type_=types[name]) for name in parameters))
    return bound.columns(*columns, sa.column("score", sa.Float), *map(sa.column, besides))


async def rows_of(session: Session, statement: sa.TextualSelect, values: Mapping[str, object]) -> Rows:
    """What a statement that only reads answers, by its columns' names."""
    names = statement.selected_columns.keys()
    return [dict(zip(names, row, strict=True)) for row in await session.read(statement, values)]


Found = tuple[Rows, bool]
"""Rows with the source's columns and `score`, the best first, and whether they are exact."""


Ranked = tuple[Rows, bool]
"""Rows with a score and its parts, the best first, and whether every row of the scope was compared."""


class IndexState(StrEnum):
    """Where a space's approximate index of one table is."""

    MISSING = "missing"
    UNFINISHED = "unfinished"
    READY = "ready"
    TOO_WIDE = "too wide"
    NOT_NEEDED = "not needed"


@dataclass(frozen=True, slots=True)
class TableIndex:
    """The index of one table in one space. READY aside, a search of it is exact."""

    table: str
    name: str
    state: IndexState


Progress = Callable[[str, float], None]
"""Called with the table and the part that is done, 0 to 1, while an index is built."""


class Search(Protocol):
    """What each database does its own way."""

    async def nearest(self, session: Session, query: VectorQuery) -> Found: ...

    async def messages(self, session: Session, query: "MessageQuery") -> Ranked:
        """The best answers among messages; one statement, unless an index is asked."""
        ...

    async def memories(self, session: Session, query: "MemoryQuery") -> Ranked:
        """The best answers among memories, likewise."""
        ...

    def holds(self, words: Sequence[str]) -> sa.ColumnElement[bool]:
        """Whether a message holds every one of the words, of which there is one at least."""
        ...

    async def indexes(self, connection: AsyncConnection, space: EmbeddingSpace) -> Sequence[TableIndex]:
        """Of every table with vectors, in a fixed order; one statement at most."""
        ...

    async def build_indexes(
        self, database: Database, space: EmbeddingSpace, progress: Progress | None = None
    ) -> Sequence[TableIndex]: ...

    async def drop_indexes(self, connection: AsyncConnection, space_ids: Sequence[UUID]) -> None: ...
