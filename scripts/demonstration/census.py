"""Counting every table: how the demo proves that nothing of a deleted conversation is left."""

from collections.abc import Iterator
from uuid import UUID

import sqlalchemy as sa

from models import metadata
from repositories import UnitOfWork


async def count_rows(uow: UnitOfWork) -> dict[str, int]:
    """The rows of every table of ours, in one statement."""
    tables = sorted(metadata.tables)
    sql = " UNION ALL ".join(f"SELECT '{table}' AS name, count(*) AS number FROM {table}" for table in tables)
    return {str(row["name"]): int(str(row["number"])) for row in await uow.fetch_all(f"{sql} ORDER BY name")}


async def count_pointing_at(uow: UnitOfWork, conversation_id: UUID) -> int:
    """The rows, of whatever table, that name this conversation."""
    questions = [
        f"SELECT count(*) AS number FROM {table} WHERE {column} = :id"
        for table, column, parent, _ in _references()
        if parent == "conversations"
    ]
    questions.append("SELECT count(*) FROM conversations WHERE id = :id")
    return await _sum(uow, questions, {"id": conversation_id})


async def count_orphans(uow: UnitOfWork) -> int:
    """The rows, of whatever table, that name a row which is not there."""
    questions = [
        f"SELECT count(*) AS number FROM {table} AS t WHERE t.{column} IS NOT NULL "
        f"AND NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE p.{key} = t.{column})"
        for table, column, parent, key in _references()
    ]
    return await _sum(uow, questions, {})


def _references() -> Iterator[tuple[str, str, str, str]]:
    """Every foreign key: table, column, and what they name."""
    for table in sorted(metadata.tables.values(), key=lambda table: table.name):
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
            target = key.column
            assert isinstance(target.table, sa.Table)
            yield table.name, key.parent.name, target.table.name, target.name


async def _sum(uow: UnitOfWork, questions: list[str], values: dict[str, object]) -> int:
    sql = f"SELECT sum(number) FROM ({' UNION ALL '.join(questions)}) AS counts"
    return int(str(await uow.fetch_value(sql, values)))
