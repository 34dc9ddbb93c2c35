"""The machine and the versions that a figure belongs to."""

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path

from database import Database

PACKAGES = ("sqlalchemy", "sqlmodel", "asyncpg", "aiosqlite", "pgvector", "numpy")
SERVER_SETTINGS = ("server_version", "fsync", "synchronous_commit", "shared_buffers")


async def describe(db: str, database: Database) -> dict[str, str]:
    found = {
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }
    if db == "sqlite":
        return found | _packages() | {"sqlite": sqlite3.sqlite_version}
    settings = {name: str(await database.fetch_value(f"SHOW {name}")) for name in SERVER_SETTINGS}
    extension = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    return found | _packages() | settings | {"extension vector": str(await database.fetch_value(extension))}


def _packages() -> dict[str, str]:
    return {package: version(package) for package in PACKAGES}


def _processor() -> str:
    """Its name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
