"""What an installation may set, from the environment and from `.env`."""

import os
from datetime import timedelta
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Environment = Literal["development", "testing", "staging", "production"]

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

TextLanguage = Literal[
    "simple", "english", "danish", "dutch", "finnish", "french", "german", "hungarian", "italian", "norwegian",
    "portuguese", "romanian", "russian", "spanish", "swedish", "turkish",
]  # fmt: skip


def _named(variable: str) -> AliasChoices:
    return AliasChoices(variable, variable.lower())


class Settings(BaseSettings):
    """Read by name from the environment, `.env.ENVIRONMENT` and `.env`, in this order of precedence."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", populate_by_name=True, hide_input_in_errors=True)

    environment: Environment = "development"
    database_url: SecretStr = SecretStr("sqlite:///persona-store.db")
    database_read_url: SecretStr | None = Field(default=None, description="A replica that session() reads from.")

    pool_size: int = Field(default=10, ge=1, validation_alias=_named("DB_POOL_SIZE"))
    max_overflow: int = Field(default=20, ge=0, validation_alias=_named("DB_MAX_OVERFLOW"))
    pool_timeout: float = Field(default=30, gt=0, validation_alias=_named("DB_POOL_TIMEOUT"), description="Seconds.")
    pool_recycle: int = Field(default=300, ge=-1, validation_alias=_named("DB_POOL_RECYCLE"), description="Seconds.")
    ping_after: float = Field(
        default=30,
        ge=0,
        validation_alias=_named("DB_PING_AFTER"),
        description="A connection idle for longer, in seconds, is tried before it is used.",
    )
    connect_timeout: float = Field(default=10, gt=0, validation_alias=_named("DB_CONNECT_TIMEOUT"))
    statement_timeout_ms: int = Field(default=30_000, ge=0, validation_alias=_named("DB_STATEMENT_TIMEOUT_MS"))
    lock_timeout_ms: int = Field(
        default=0,
        ge=0,
        validation_alias=_named("DB_LOCK_TIMEOUT_MS"),
        description="Of a lock of a row or a table; 0: as long as the statement may take.",
    )
    idle_in_transaction_timeout_ms: int = Field(
        default=60_000, ge=0, validation_alias=_named("DB_IDLE_IN_TRANSACTION_TIMEOUT_MS")
    )
    pgbouncer: bool = Field(
        default=False,
        validation_alias=_named("DB_PGBOUNCER"),
        description="The URL names a pgbouncer in transaction mode.",
    )
    application_name: str = Field(default="persona-store", validation_alias=_named("DB_APPLICATION_NAME"))
    echo: bool = Field(default=False, validation_alias=_named("DB_ECHO"), description="Log SQL, never its values.")
    slow_query_ms: float = Field(default=1_000, gt=0, validation_alias=_named("SLOW_QUERY_MS"))

    sqlite_synchronous: Literal["FULL", "NORMAL"] = Field(
        default="FULL",
        validation_alias=_named("SQLITE_SYNCHRONOUS"),
        description="NORMAL is faster and may lose the last commits when the power fails.",
    )
    sqlite_busy_timeout_ms: int = Field(default=30_000, ge=0, validation_alias=_named("SQLITE_BUSY_TIMEOUT_MS"))
    sqlite_vector_memory_mb: int = Field(
        default=1_024,
        ge=0,
        validation_alias=_named("SQLITE_VECTOR_MEMORY_MB"),
        description="The most that a process holds of the vectors; a space that is larger is read at each wide search.",
    )

    episode_gap: timedelta = Field(
        default=timedelta(hours=4),
        validation_alias=_named("EPISODE_GAP"),
        description="A message sent longer than this after the one before it begins a new episode.",
    )
    text_language: TextLanguage = Field(
        default="english",
        validation_alias=_named("TEXT_LANGUAGE"),
        description="Whose word forms the text index takes for one; read when it is made. simple: none.",
    )
    log_level: LogLevel = Field(default="WARNING", validation_alias=_named("LOG_LEVEL"))
    log_format: Literal["text", "json"] = Field(default="text", validation_alias=_named("LOG_FORMAT"))


def load_settings() -> Settings:
    """Settings of this process; `ENVIRONMENT` may name a file, `.env.production` for one, that goes before `.env`."""
    environment = os.environ.get("ENVIRONMENT", "development")
    files: dict[str, Any] = {"_env_file": (".env", f".env.{environment}")}
    return Settings(**files)
