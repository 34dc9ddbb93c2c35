"""What the commands log follows LOG_LEVEL and LOG_FORMAT."""

import json
import logging

import pytest

from database import Settings
from scripts.logs import configure


def test_a_line_is_text_or_an_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])  # as in a process of its own
    monkeypatch.setattr(root, "level", root.level)
    configure(Settings(log_level="INFO"))
    logging.getLogger("database.engine").info("slow_query duration_ms=%d", 7)
    logging.getLogger("database.engine").debug("unheard")
    assert capsys.readouterr().err == "INFO database.engine slow_query duration_ms=7\n"
    root.handlers.clear()

    configure(Settings(log_format="json"))
    logging.getLogger("database.engine").info("unheard")
    logging.getLogger("database.engine").warning("slow_query duration_ms=%d", 7)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("time")
    assert line == {"level": "WARNING", "logger": "database.engine", "message": "slow_query duration_ms=7"}
