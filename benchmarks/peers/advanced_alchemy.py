"""advanced-alchemy: its repository over a table of messages."""

from collections.abc import Sequence
from typing import Self

import sqlalchemy as sa
from advanced_alchemy.base import UUIDv7AuditBase
from advanced_alchemy.filters import LimitOffset, OrderBy
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Mapped, mapped_column

from benchmarks.layers.work import LAST, WRITERS
from database.url import parse_url


class Said(UUIDv7AuditBase):
    __tablename__ = "advanced_alchemy_messages"
    __table_args__ = (sa.Index("ix_advanced_alchemy_messages", "talk", "id"),)

    talk: Mapped[str] = mapped_column(sa.String(64))
    role: Mapped[str] = mapped_column(sa.String(20))
    content: Mapped[str] = mapped_column(sa.Text())


class SaidRepository(SQLAlchemyAsyncRepository[Said]):
    model_type = Said


class AdvancedAlchemy:
    name = "advanced-alchemy repository"

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(parse_url(url), pool_size=WRITERS, max_overflow=0)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    async def __aenter__(self) -> Self:
        async with self._engine.begin() as connection:
            await connection.run_sync(Said.__table__.create)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._engine.dispose()

    async def begin(self, talk: str) -> None:
        """A conversation is a column here."""

    async def append(self, talk: str, content: str) -> object:
        async with self._sessions() as session:
            said = Said(talk=talk, role="user", content=content)
            return await SaidRepository(session=session).add(said, auto_commit=True)

    async def last(self, talk: str) -> Sequence[object]:
        async with self._sessions() as session:
            newest = (OrderBy("id", "desc"), LimitOffset(LAST, 0))
            found: Sequence[object] = await SaidRepository(session=session).list(Said.talk == talk, *newest)
            return found
