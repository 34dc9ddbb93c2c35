"""What is logged: slow statements with their time, echoed SQL when asked for, and never a value."""

import logging

import pytest

from database import Database, Settings

SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :most)\nSELECT count(*), :text FROM n"


def settings_for(url: str, **fields: object) -> Settings:
    return Settings.model_validate({"database_url": url, **fields})


async def test_a_slow_statement_is_logged_without_its_values(fresh_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Database(settings_for(fresh_url, slow_query_ms=0.001)) as database:
        with caplog.at_level(logging.WARNING):
            await database.fetch_one(SLOW, {"most": 1_000, "text": "hush-hush"})
    (record,) = [record for record in caplog.records if "count(*)" in record.getMessage()]
    assert (record.name, record.levelname) == ("database.engine", "WARNING")
    words = record.getMessage()
    assert words.startswith("slow_query duration_ms=")
    assert "statement=WITH RECURSIVE n(i) AS" in words
    assert "\n" not in words
    assert "hush-hush" not in caplog.text


async def test_a_quick_statement_is_not_logged(fresh_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Database(settings_for(fresh_url, slow_query_ms=3_600_000)) as database:
        with caplog.at_level(logging.DEBUG, "database"):
            await database.fetch_one(SLOW, {"most": 1_000, "text": "hush-hush"})
            await database.execute_many("UPDATE conversations SET title = :title", [{"title": "a"}, {"title": "b"}])
    assert [record for record in caplog.records if record.name.startswith("database")] == []


async def test_echo_shows_sql_and_hides_values(fresh_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Database(settings_for(fresh_url, echo=True)) as database:
        with caplog.at_level(logging.INFO):
            await database.fetch_one(SLOW, {"most": 10, "text": "hush-hush"})
    assert "WITH RECURSIVE" in caplog.text
    assert "hush-hush" not in caplog.text


async def test_a_library_is_silent_by_itself(fresh_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("database.database").handlers)
    async with Database(fresh_url) as database:
        await database.fetch_value("SELECT 1")
    assert capfd.readouterr() == ("", "")
