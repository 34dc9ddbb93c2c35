"""What every command shares: lines that stay whole, and a page that tells of all of them."""

import io
import json
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from scripts import app
from scripts.console import emit, say

ROOT = Path(__file__).resolve().parent.parent.parent
LONG = "word " * 60


def test_lines_are_not_broken_for_whoever_searches_them(capsys: pytest.CaptureFixture[str]) -> None:
    emit(LONG, as_json=False)
    emit(Text(LONG), as_json=False)
    say(LONG)

    captured = capsys.readouterr()
    assert [len(line) for line in captured.out.splitlines()] == [len(LONG)] * 2
    assert len(captured.err.splitlines()) == 1


def test_a_table_fits_where_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("header")
    table.add_row(LONG)

    emit(table, as_json=False)

    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_whole_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)

    emit({"said": "Crème brûlée “for two” 🍮"}, as_json=True)

    stream.flush()
    assert json.loads(raw.getvalue().decode(encoding)) == {"said": "Crème brûlée “for two” 🍮"}


def test_the_page_of_commands_tells_of_every_one() -> None:
    page = (ROOT / "docs/commands.md").read_text("utf-8")

    rows = [line.split("`")[1].split()[0] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(app.COMMANDS)
