"""Of each applied revision its text is remembered by a checksum, and a changed one is reported."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config

from database import Database, migrations
from database.history.checksums import checksum
from database.url import parse_url
from tests.migrations.support import newest, ours, write_ini, write_revision


async def rows(url: str) -> dict[str, tuple[object, ...]]:
    async with Database(url) as database:
        found = await database.fetch_all("SELECT * FROM migration_checksums", columns={})
    return {
        str(row["revision"]): (row["stream"], row["filename"], row["description"], row["checksum"]) for row in found
    }


async def test_what_was_applied_is_noted_and_what_was_taken_back_is_not(fresh_url: str, tmp_path: Path) -> None:
    place, ini = parse_url(fresh_url), write_ini(tmp_path)
    later = write_revision(tmp_path, "later", "pass")
    files = sorted((migrations.history() / "versions").glob("*.py"))
    words = [file.stem.split("_", 4)[4].replace("_", " ") for file in files]
    noted = {
        revision: ("system", file.name, word, checksum(file))
        for revision, file, word in zip(ours(), files, words, strict=True)
    }
    assert await rows(fresh_url) == noted
    await migrations.upgrade(place, config=ini)
    assert await rows(fresh_url) == noted | {"later": ("app", "later.py", "", checksum(later))}
    await migrations.downgrade(place, "-1", config=ini)
    assert await rows(fresh_url) == noted


async def test_a_changed_revision_is_reported_while_it_is_applied(fresh_url: str, tmp_path: Path) -> None:
    place, ini = parse_url(fresh_url), write_ini(tmp_path)
    later = write_revision(tmp_path, "later", "pass")
    await migrations.upgrade(place, config=ini)
    assert await migrations.changed_checksums(place, config=ini) == []
    text = later.read_text()
    later.write_bytes(text.replace("\n", "\r\n").encode())
    assert await migrations.changed_checksums(place, config=ini) == []
    later.write_text(text + "\n# edited\n")
    assert await migrations.changed_checksums(place, config=ini) == ["later.py was changed after it was applied"]
    await migrations.downgrade(place, "-1", config=ini)
    assert await migrations.changed_checksums(place, config=ini) == []


async def test_what_was_only_stamped_is_not_reported(empty_url: str, tmp_path: Path) -> None:
    place, ini = parse_url(empty_url), write_ini(tmp_path)
    assert await migrations.changed_checksums(place) == []
    config = Config(ini)
    config.attributes["url"] = place
    await asyncio.to_thread(command.stamp, config, "head")
    assert await migrations.current(place) == (newest(),)
    assert await migrations.changed_checksums(place) == []
