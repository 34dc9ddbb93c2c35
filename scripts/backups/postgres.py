"""A PostgreSQL database copied by pg_dump at one moment, and put back by pg_restore in one transaction."""

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from sqlalchemy.ext.asyncio import AsyncConnection

from database import Database
from scripts.backups.archive import Manifest, TableSum
from scripts.backups.programs import folder_for, run
from scripts.backups.verify import compare, faults_of, holds_data

TABLES = """
SELECT c.relname AS name, string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum) AS columns
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attgenerated = ''
WHERE c.relkind = 'r' AND c.relnamespace = CAST('public' AS regnamespace)
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
GROUP BY c.relname ORDER BY c.relname
"""
"""Of the application and its migrations, without what the database computes by itself and what extensions keep."""

SUM = """
SELECT count(*) AS rows, coalesce(sum(CAST(CAST('x' || left(hash, 15) AS bit(60)) AS bigint)), 0) AS checksum
FROM (SELECT md5(CAST(ROW({columns}) AS text)) AS hash FROM "{table}" AS t) AS hashes
"""
"""The order of rows does not matter; the server reads them, and sends one."""

NOT_OURS = ("EXTENSION ", "COMMENT - EXTENSION ", "SCHEMA - public", "COMMENT - SCHEMA public")
"""Entries of a dump that its restorer must not drop, and mostly may not make."""

LIKE_ANYWHERE = (
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL datestyle = 'ISO'",
    "SET LOCAL intervalstyle = 'postgres'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL extra_float_digits = 1",
)


async def _server(database: Database) -> int:
    return int(str(await database.fetch_value("SELECT current_setting('server_version_num')"))) // 10_000


async def dump(database: Database, data: Path, progress: Callable[[float], None]) -> Mapping[str, TableSum]:
    program = await folder_for(await _server(database)) / "pg_dump"
    async with database.session() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        snapshot = (await connection.exec_driver_sql("SELECT pg_export_snapshot()")).scalar_one()
        arguments = ["--format=custom", "--schema=public", f"--snapshot={snapshot}", f"--file={data}"]
        writing = asyncio.create_task(run(program, arguments, database.url))
        try:
            sums = await _sums(connection)
            progress(0.5)
            await writing
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
    progress(1)
    return sums


async def _sums(connection: AsyncConnection) -> dict[str, TableSum]:
    for setting in LIKE_ANYWHERE:
        await connection.exec_driver_sql(setting)
    found = {}
    for table in (await connection.exec_driver_sql(TABLES)).all():
        summed = (await connection.exec_driver_sql(SUM.format(table=table.name, columns=table.columns))).one()
        found[table.name] = TableSum(rows=summed.rows, checksum=str(summed.checksum))
    return found


async def is_empty(database: Database) -> bool:
    async with database.session() as session:
        connection = await session.connection()
        names = filter(holds_data, (await connection.exec_driver_sql(TABLES)).scalars().all())
        for name in names:
            if (await connection.exec_driver_sql(f'SELECT 1 FROM "{name}" LIMIT 1')).first():
                return False
    return True


async def load(database: Database, manifest: Manifest, data: IO[bytes]) -> Sequence[str]:
    """One transaction of pg_restore drops what the dump has too and makes it again; what else is there stays."""
    folder = await folder_for(await _server(database))
    with tempfile.TemporaryDirectory() as place:
        dumped, contents = Path(place, "data"), Path(place, "contents")
        await asyncio.to_thread(_copy, data, dumped)
        listed = (await run(folder / "pg_restore", ["--list", str(dumped)], database.url)).decode().splitlines()
        kept = [line for line in listed if not any(f" {entry}" in line for entry in NOT_OURS)]
        await asyncio.to_thread(contents.write_text, "\n".join(kept))
        await database.execute("CREATE EXTENSION IF NOT EXISTS vector")
        arguments = [
            "--clean",
            "--if-exists",
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
        ]
        where = [f"--use-list={contents}", f"--dbname={database.url.database or ''}", str(dumped)]
        # Statements that were prepared for the old tables would fail.
        await database.close()
        await run(folder / "pg_restore", [*arguments, *where], database.url)
        await database.connect()
    async with database.autocommit() as connection:
        await connection.exec_driver_sql("ANALYZE")
    async with database.session() as session:
        compare(manifest.tables, await _sums(await session.connection()))
    return await faults_of(database)


def _copy(data: IO[bytes], to: Path) -> None:
    with to.open("wb") as file:
        while chunk := data.read(1 << 20):
            file.write(chunk)
