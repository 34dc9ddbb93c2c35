"""Odd addresses: each is understood, or refused as a mistake of configuration; no password is told by either."""

import traceback
from urllib.parse import quote

import pytest

from database import Database, Settings
from database.errors import ConfigurationError
from database.url import parse_url

pytestmark = pytest.mark.faults

PASSWORDS = [
    *("p%w", "p@w", "p:w", "p/w", "p?w", "p#w", "p&w=x", "p%40w", "p w", "pé🙂w", "'p\"w", "%", "@", ":", "/", "\\"),
    *("p" * 10_000, "[p]", "p;w", "p+w", "{p}", "p\tw"),
]
FORMS = ["postgresql://ada:{}@db:5432/chat", "postgres://ada:{}@[::1]:5432/chat", "postgresql://ada:{}@/chat?host=/run"]
NO_ADDRESS = [
    *("", " ", "://", "postgresql", "postgresql:/", "postgresql://[::1", "postgresql://db:port/chat", "sqlite://a/b"),
    *("mysql://ada:needle@db/chat", "postgresql://ada:needle@db:99999999999/chat", "\0", "postgresql://\ud800/chat"),
    *("postgresql+psycopg2://ada:needle@db/chat", "http://needle", "sqlite:\\\\needle", "postgresql://ada:needle@[db"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("password", PASSWORDS, ids=range(len(PASSWORDS)))
def test_a_password_of_any_characters_is_itself(form: str, password: str) -> None:
    url = parse_url(form.format(quote(password, safe="")))
    assert (url.username, url.password, url.database) == ("ada", password, "chat")
    assert len(password) == 1 or password not in repr(url)


@pytest.mark.parametrize("password", PASSWORDS, ids=range(len(PASSWORDS)))
def test_a_password_in_the_query_is_masked(password: str) -> None:
    url = parse_url(f"postgresql://db/chat?user=ada&password={quote(password, safe='')}")
    assert url.password == password
    assert len(password) == 1 or password not in repr(url)


@pytest.mark.parametrize("address", NO_ADDRESS, ids=range(len(NO_ADDRESS)))
async def test_what_is_no_address_is_understood_or_refused(address: str) -> None:
    try:
        shown = repr(Database(Settings.model_validate({"database_url": address})))
    except ConfigurationError as error:
        shown = "".join(traceback.format_exception(error)) + repr(error)
    lines = [line for line in shown.splitlines() if "Settings.model_validate" not in line]
    assert "needle" not in "\n".join(lines)
