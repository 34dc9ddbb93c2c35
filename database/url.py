"""The forms in which people paste a database's address, brought to one."""

import re
from pathlib import Path
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from database.errors import ConfigurationError

DRIVERS = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}


def parse_url(address: str | sa.URL) -> sa.URL:
    """The address with its async driver; raises ConfigurationError, whose text never shows the address.

    Understood: postgres://, postgresql://, sqlite:///file, sqlite:////absolute, :memory:, several hosts
    (`host1:5432,host2:5432`), unix sockets (`?host=/folder`), `?sslmode=`, `?password=`, and a password with any
    character in it, escaped or not.
    """
    if isinstance(address, sa.URL):
        return _with_driver(address)
    text = address.strip()
    if text == ":memory:":
        text = "sqlite:///:memory:"
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ConfigurationError("a database URL begins with postgresql:// or sqlite:///")
    try:
        if scheme.startswith("sqlite"):
            return _with_driver(sa.make_url(text))
        return _with_driver(_server_url(scheme, rest))
    except (ArgumentError, ValueError, StopIteration):
        raise ConfigurationError("the database URL cannot be read") from None


ADDRESS = re.compile(r"(?P<hosts>[^@/?]*)(?:/(?P<name>[^@?]*))?(?:\?(?P<query>(?:\w+=[^&]*(?:&|$))*))?")
"""What may follow the login. Neither host nor name holds an @, and a query is made of `word=value`."""


def _server_url(scheme: str, rest: str) -> sa.URL:
    """The login ends at the first @ behind which an address can stand: a password may hold @ / ? # as they are."""
    starts = [0, *(at + 1 for at, character in enumerate(rest) if character == "@")]
    start, found = next((start, found) for start in starts if (found := ADDRESS.fullmatch(rest, start)))
    hosts, name, query = found["hosts"], found["name"] or "", found["query"]
    url = sa.make_url(f"{scheme}:///{name}" + (f"?{query}" if query else ""))
    if start:
        user, colon, password = rest[: start - 1].partition(":")
        url = url.set(username=unquote(user), password=unquote(password) if colon else None)
    if "," in hosts:
        return url.update_query_pairs([("host", host) for host in hosts.split(",")], append=True)
    if hosts:
        there = sa.make_url(f"{scheme}://{hosts}")
        url = url.set(host=there.host, port=there.port)
    return url


def _with_driver(url: sa.URL) -> sa.URL:
    driver = DRIVERS.get(url.drivername)
    if driver is None:
        raise ConfigurationError(f"no driver for {url.drivername}; use postgresql or sqlite")
    secret = url.query.get("password")
    if isinstance(secret, str):
        # A password in the query is shown by repr(); in its own place it is masked.
        url = url.difference_update_query(["password"]).set(password=secret)
    if driver == DRIVERS["sqlite"] and (url.host or url.username):
        raise ConfigurationError("a SQLite URL has three slashes before a relative path, four before an absolute one")
    if url.database and url.database.startswith("~"):
        url = url.set(database=str(Path(url.database).expanduser()))
    return url.set(drivername=driver)


def is_memory(url: sa.URL) -> bool:
    """Whether a SQLite address names no file."""
    return url.database in (None, "", ":memory:", "file::memory:") or url.query.get("mode") == "memory"


def is_missing(url: sa.URL) -> bool:
    """Whether a SQLite address names a file that is not there; to connect would make it."""
    named = url.drivername == DRIVERS["sqlite"] and not is_memory(url) and not str(url.database).startswith("file:")
    return named and not Path(str(url.database)).exists()


def make_parent_folder(url: sa.URL) -> None:
    if is_memory(url) or not url.database or url.database.startswith("file:"):
        return
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError("the folder of the database file cannot be made") from error
