"""Settings come from the environment and from .env by the names that people know, and a password is in no repr."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from database import Database, Settings
from database.settings import load_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_are_the_documented_ones() -> None:
    settings = load_settings()
    assert settings.database_url.get_secret_value() == "sqlite:///persona-store.db"
    assert settings.statement_timeout_ms == 30_000
    assert settings.lock_timeout_ms == 0
    assert settings.idle_in_transaction_timeout_ms == 60_000
    assert settings.sqlite_synchronous == "FULL"
    assert settings.echo is False
    assert settings.episode_gap == timedelta(hours=4)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("DATABASE_URL", "postgres://db/chat", "database_url", SecretStr("postgres://db/chat")),
        ("DATABASE_READ_URL", "postgres://replica/chat", "database_read_url", SecretStr("postgres://replica/chat")),
        ("DB_POOL_SIZE", "7", "pool_size", 7),
        ("DB_MAX_OVERFLOW", "3", "max_overflow", 3),
        ("DB_POOL_TIMEOUT", "1.5", "pool_timeout", 1.5),
        ("DB_POOL_RECYCLE", "60", "pool_recycle", 60),
        ("DB_PING_AFTER", "0", "ping_after", 0),
        ("DB_CONNECT_TIMEOUT", "2", "connect_timeout", 2),
        ("DB_STATEMENT_TIMEOUT_MS", "5000", "statement_timeout_ms", 5_000),
        ("DB_LOCK_TIMEOUT_MS", "500", "lock_timeout_ms", 500),
        ("DB_IDLE_IN_TRANSACTION_TIMEOUT_MS", "1", "idle_in_transaction_timeout_ms", 1),
        ("DB_APPLICATION_NAME", "chat", "application_name", "chat"),
        ("DB_ECHO", "true", "echo", True),
        ("SLOW_QUERY_MS", "50", "slow_query_ms", 50),
        ("SQLITE_SYNCHRONOUS", "NORMAL", "sqlite_synchronous", "NORMAL"),
        ("SQLITE_BUSY_TIMEOUT_MS", "10", "sqlite_busy_timeout_ms", 10),
        ("EPISODE_GAP", "PT30M", "episode_gap", timedelta(minutes=30)),
        ("LOG_LEVEL", "INFO", "log_level", "INFO"),
        ("LOG_FORMAT", "json", "log_format", "json"),
        ("ENVIRONMENT", "testing", "environment", "testing"),
    ],
)
def test_each_is_read_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str, field: str, value: object
) -> None:
    monkeypatch.setenv(name, text)
    assert getattr(load_settings(), field) == value
    monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"{name}={text}\n")
    assert getattr(load_settings(), field) == value
    assert getattr(Settings(**{field: value}), field) == value  # type: ignore[arg-type]  # of each field its own kind


def test_the_environment_goes_before_its_file_and_that_before_dot_env(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("DB_POOL_SIZE=1\nDB_MAX_OVERFLOW=1\nDB_PING_AFTER=1\n")
    (tmp_path / ".env.production").write_text("DB_POOL_SIZE=2\nDB_MAX_OVERFLOW=2\n")
    monkeypatch.setenv("DB_POOL_SIZE", "3")
    monkeypatch.setenv("ENVIRONMENT", "production")
    settings = load_settings()
    assert (settings.pool_size, settings.max_overflow, settings.ping_after) == (3, 2, 1)
    monkeypatch.setenv("ENVIRONMENT", "staging")
    assert load_settings().max_overflow == 1


def test_a_database_without_an_argument_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://ada:pw@db/chat")
    assert Database().url.host == "db"
    assert Database("sqlite:///other.db").url.database == "other.db"
    assert Database(Settings(database_url=SecretStr(":memory:"))).url.database == ":memory:"


def test_a_url_in_code_leaves_the_other_settings_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_POOL_SIZE", "7")
    assert Database(":memory:").settings.pool_size == 7


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DB_POOL_SIZE", "0"),
        ("DB_POOL_SIZE", "many"),
        ("DB_STATEMENT_TIMEOUT_MS", "-1"),
        ("SQLITE_SYNCHRONOUS", "OFF"),
        ("LOG_FORMAT", "xml"),
        ("ENVIRONMENT", "prod"),
    ],
)
def test_a_wrong_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ValidationError):
        load_settings()


def test_no_password_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://ada:hush-hush@db/chat?password=hush-hush")
    monkeypatch.setenv("DATABASE_READ_URL", "postgres://ada:hush-hush@replica/chat")
    settings = load_settings()
    database = Database(settings)
    for shown in (settings, database, database.url, settings.model_dump(), settings.model_dump_json()):
        assert "hush-hush" not in f"{shown} {shown!r}"
