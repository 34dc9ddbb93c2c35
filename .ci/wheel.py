"""Run outside of the checkout by .ci/run: the installed wheel migrates a database by itself."""

import asyncio
import sys
from pathlib import Path

import alembic.command

import database
import models
import repositories
from database import Database


async def main() -> None:
    for package in (database, models, repositories, alembic.command):
        assert package.__file__, package
        assert Path(package.__file__).is_relative_to(sys.prefix), package
    async with Database("sqlite:///wheel.db") as store:
        await store.migrate()
        tables = await store.fetch_value("SELECT count(*) FROM sqlite_master WHERE type = 'table'")
        health = await store.health()
    print(f"migrated to {health.revision}, {tables} tables; alembic is {alembic.command.__file__}")


asyncio.run(main())
