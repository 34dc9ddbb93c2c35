"""PostgreSQL's own programs: which ones are there, and how they are run without showing anything."""

import asyncio
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from database.errors import ConfigurationError, StoreError
from scripts.postgres import programs

VERSION = re.compile(r"\(PostgreSQL\) (\d+)")

ELSEWHERE = tuple(Path("/usr/lib/postgresql").glob("*/bin"))
"""Where Debian keeps each version, of which its own pg_dump on PATH picks one."""

WORDS = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}


async def folder_for(server: int) -> Path:
    """The folder with pg_dump and pg_restore of this major version, or of the next newer one that is there."""
    found = shutil.which("pg_dump")
    there = [Path(found).parent] if found else []
    there += [folder for folder in (programs(), *ELSEWHERE) if folder is not None]
    versions = {folder: await _version(folder) for folder in there}
    usable = [folder for folder in there if (versions[folder] or 0) >= server]
    if not usable:
        known = ", ".join(str(version) for version in versions.values() if version) or "none"
        raise ConfigurationError(
            f"pg_dump and pg_restore {server} or newer are needed, as the server is, on PATH; found: {known}"
        )
    return min(usable, key=lambda folder: versions[folder] or 0)


async def _version(folder: Path) -> int | None:
    if not (folder / "pg_restore").exists():
        return None
    try:
        process = await asyncio.create_subprocess_exec(
            folder / "pg_dump", "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return None
    said, _ = await process.communicate()
    version = VERSION.search(said.decode())
    return int(version[1]) if version else None


def environment(url: sa.URL) -> dict[str, str]:
    """Where to connect, and as whom: a command line is for everybody to see, an environment is not."""
    hosts = url.query.get("host", ())
    given = [hosts] if isinstance(hosts, str) else list(hosts)
    places = [(place, "") if place.startswith("/") else place.partition(":")[::2] for place in given]
    if url.host:
        places = [(url.host, str(url.port or ""))]
    port = url.query.get("port")
    found = {
        "PGHOST": ",".join(host for host, _ in places),
        "PGPORT": ",".join(port for _, port in places).strip(",") or (port if isinstance(port, str) else ""),
        "PGUSER": url.username or "",
        "PGPASSWORD": str(url.password or ""),
        "PGDATABASE": url.database or "",
    } | {variable: str(url.query[word]) for word, variable in WORDS.items() if word in url.query}
    return os.environ | {name: value for name, value in found.items() if value}


async def run(program: Path, arguments: Sequence[str], url: sa.URL) -> bytes:
    """What it printed; raises StoreError with the first thing it complained of, without any value."""
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        "--no-password",
        env=environment(url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, complained = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise StoreError(complaint(program.name, complained.decode(errors="replace")))
    return said


def complaint(name: str, text: str) -> str:
    """The first line of it, up to where the server would quote a row."""
    first = next((line for line in text.splitlines() if ": error: " in line), f"{name} failed")
    return (first.partition("ERROR:")[0] if "COPY" in first else first)[:300]
