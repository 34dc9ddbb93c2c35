"""An address is understood in the forms in which people paste it, and its password stays a secret."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from database import Database
from database.errors import ConfigurationError
from database.url import is_memory, parse_url

POSTGRESQL = "postgresql+asyncpg"
SQLITE = "sqlite+aiosqlite"

# What is pasted -> (user, password, host, port, database, query).
SERVERS: list[tuple[str, tuple[object, ...]]] = [
    ("postgres://ada@db/chat", ("ada", None, "db", None, "chat", {})),
    ("postgresql://ada:pw@db:5433/chat", ("ada", "pw", "db", 5433, "chat", {})),
    ("postgresql+asyncpg://ada:pw@db/chat", ("ada", "pw", "db", None, "chat", {})),
    ("  postgresql://db/chat\n", (None, None, "db", None, "chat", {})),
    ("postgresql:///chat", (None, None, None, None, "chat", {})),
    ("postgresql://ada:pw@db/chat?sslmode=require", ("ada", "pw", "db", None, "chat", {"sslmode": "require"})),
    ("postgresql://ada@/chat?host=/run/postgresql", ("ada", None, None, None, "chat", {"host": "/run/postgresql"})),
    ("postgresql://ada:@db/chat", ("ada", "", "db", None, "chat", {})),
    ("postgresql://ada:p%40s%2Fs%3Aw%23d@db/chat", ("ada", "p@s/s:w#d", "db", None, "chat", {})),
    ("postgresql://ada:p@s/s:w#d%@db/chat", ("ada", "p@s/s:w#d%", "db", None, "chat", {})),
    ("postgresql://ada:pässwört ☕@db/chat", ("ada", "pässwört ☕", "db", None, "chat", {})),
    ("postgresql://ada:what?@db/chat", ("ada", "what?", "db", None, "chat", {})),
    ("postgresql://ada:what?@db/chat?sslmode=require", ("ada", "what?", "db", None, "chat", {"sslmode": "require"})),
    ("postgresql://ada:a?b=c&d@db:5433/chat?user=me@home", ("ada", "a?b=c&d", "db", 5433, "chat", {"user": "me@home"})),
    ("postgresql://a%40b:pw@db/chat", ("a@b", "pw", "db", None, "chat", {})),
    ("postgresql://db/chat?user=ada&password=pw", (None, "pw", "db", None, "chat", {"user": "ada"})),
    ("postgresql://ada:p@ss?word@db/chat", ("ada", "p@ss?word", "db", None, "chat", {})),
    ("postgresql://db/chat?user=me@home", (None, None, "db", None, "chat", {"user": "me@home"})),
    ("postgresql://ada:pw@db/", ("ada", "pw", "db", None, "", {})),
    ("postgresql://ada:pw@db", ("ada", "pw", "db", None, "", {})),
    ("postgresql://ada@db/chat?password=p%26w", ("ada", "p&w", "db", None, "chat", {})),
    ("postgresql://ada:pw@[2001:db8::1]:5433/chat", ("ada", "pw", "2001:db8::1", 5433, "chat", {})),
    ("postgresql://ada:pw@a:5432,b:5433/chat", ("ada", "pw", None, None, "chat", {"host": ("a:5432", "b:5433")})),
    ("postgresql://ada:pw@db/my%20chat", ("ada", "pw", "db", None, "my chat", {})),
]  # fmt: skip


@pytest.mark.parametrize(("pasted", "parts"), SERVERS)
def test_server_is_understood(pasted: str, parts: tuple[object, ...]) -> None:
    url = parse_url(pasted)
    assert url.drivername == POSTGRESQL
    assert (url.username, url.password, url.host, url.port, url.database, dict(url.query)) == parts


@pytest.mark.parametrize(
    ("pasted", "file"),
    [
        ("sqlite:///chat.db", "chat.db"),
        ("sqlite:////srv/chat.db", "/srv/chat.db"),
        ("sqlite+aiosqlite:///chat.db", "chat.db"),
        ("sqlite:///folder with spaces/chat.db", "folder with spaces/chat.db"),
        ("sqlite:///100%/chat.db", "100%/chat.db"),
        ("sqlite:///a#b.db", "a#b.db"),
        ("sqlite://", None),
        (":memory:", ":memory:"),
        ("sqlite:///:memory:", ":memory:"),
    ],
)
def test_file_is_understood(pasted: str, file: str | None) -> None:
    url = parse_url(pasted)
    assert (url.drivername, url.database) == (SQLITE, file)
    assert is_memory(url) == (file in (None, ":memory:"))


@pytest.mark.parametrize(
    ("pasted", "in_memory"),
    [
        ("sqlite:///file:chat.db?mode=ro&uri=true", False),
        ("sqlite:///file:chat?mode=memory&uri=true", True),
        ("sqlite:///file::memory:?uri=true", True),
    ],
)
async def test_an_uri_of_sqlite_is_understood(pasted: str, in_memory: bool) -> None:
    assert is_memory(parse_url(pasted)) == in_memory
    if in_memory:
        async with Database(pasted) as database:
            await asyncio.gather(*(database.fetch_value("SELECT 1") for _ in range(5)))


@pytest.mark.parametrize("pasted", ["postgres://ada:pw@db/chat?sslmode=require", "sqlite:///chat.db"])
def test_a_url_is_taken_as_its_text_is(pasted: str) -> None:
    given = sa.make_url(pasted.replace("postgres:", "postgresql:"))
    assert parse_url(given) == parse_url(pasted)
    assert parse_url(parse_url(pasted)) == parse_url(pasted)


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "chat.db",
        "postgresql",
        "mysql://ada:hush-hush@db/chat",
        "postgresql+psycopg2://ada:hush-hush@db/chat",
        "postgresql://ada:hush-hush@db:port/chat",
        "sqlite://chat.db",
        "sqlite://ada:hush-hush@/chat.db",
        "postgresql://ada:hush-hush@[::1/chat",
        "://hush-hush",
        "hush-hush",
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(pasted: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_url(pasted)
    assert "hush-hush" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert parse_url("sqlite:///~/chat.db").database == "/home/ada/chat.db"


async def test_parent_folders_are_made(tmp_path: Path) -> None:
    file = tmp_path / "new" / "deeper" / "chat.db"
    async with Database(f"sqlite:///{file}") as database:
        assert await database.fetch_value("SELECT 1") == 1
    assert file.exists()


async def test_a_strange_file_name_is_the_files_name(tmp_path: Path) -> None:
    file = tmp_path / "50% of #1 & ünïcode.db"
    async with Database(f"sqlite:///{file}") as database:
        await database.execute("CREATE TABLE notes (text TEXT)")
    assert file.exists()


async def test_a_folder_that_cannot_be_made_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError):
        await Database(f"sqlite:///{tmp_path}/file/chat.db").connect()
