"""An application's own tables and migrations beside ours, as docs/migrations.md tells it."""

import asyncio
import json
import textwrap
from pathlib import Path

import pytest

from database import Database, migrations
from database.errors import ConfigurationError
from database.url import parse_url
from models import new_id
from tests.factories import ConversationFactory
from tests.migrations.support import newest, ours, write_ini
from tests.processes import run_python

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]

OUR_METADATA = """
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from models import Entity, metadata


class Note(Entity, table=True):
    __tablename__ = "notes"
    __table_args__ = (sa.Index(None, "conversation_id"),)

    conversation_id: UUID = Field(foreign_key="conversations.id", ondelete="CASCADE", description="What it is about.")
    text: str = Field(max_length=100, description="What it says.")
"""

PLAIN_SQLMODEL = """
from uuid import UUID

import models
from sqlmodel import Field, SQLModel


class Note(SQLModel, table=True):
    __tablename__ = "notes"

    id: UUID = Field(primary_key=True)
    conversation_id: UUID = Field(foreign_key="conversations.id", ondelete="CASCADE", index=True)
    text: str = Field(max_length=100)


metadata = SQLModel.metadata
"""

OWN_METADATA = """
import sqlalchemy as sa

from models import metadata as ours

metadata = sa.MetaData(naming_convention=ours.naming_convention)
sa.Table(
    "notes",
    metadata,
    sa.Column("id", sa.Uuid(), primary_key=True),
    # By the column, not by its name: a name is looked up in one's own metadata.
    sa.Column("conversation_id", sa.ForeignKey(ours.tables["conversations"].c.id, ondelete="CASCADE"), index=True),
    sa.Column("text", sa.String(100), nullable=False),
)
"""

SECOND_TABLE = """
import sqlalchemy as sa
from shop.models import metadata

sa.Table("tags", metadata, sa.Column("id", sa.Uuid(), primary_key=True))
"""


def commands(ini: Path, url: str) -> list[list[str]]:
    new = ["revision", "--autogenerate", "--version-path", str(ini.parent / "revisions")]
    first = ["--head", "base", "--branch-label", "shop", "--depends-on", newest(), "--rev-id", "shop1", "-m", "notes"]
    return [
        ["-c", str(ini), "-x", f"database_url={url}", *command]
        for command in (
            ["upgrade", "heads"],
            [*new, *first],
            ["upgrade", "heads"],
            ["check"],
            ["downgrade", "shop@base"],
            ["upgrade", "heads"],
            ["check"],
            # Later, with another table.
            ["later"],
            [*new, "--head", "shop@head", "--rev-id", "shop2", "-m", "tags"],
        )
    ]


SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from alembic.config import main
from database import Database

for command in json.loads(sys.argv[1]):
    if command[-1] == "later":
        import shop.later
    else:
        main(command)

async def migrate():
    async with Database(sys.argv[2]) as database:
        await database.migrate(config=Path(sys.argv[3]))

asyncio.run(migrate())
"""


@pytest.mark.parametrize(
    ("backend", "models"),
    [
        pytest.param("sqlite", OUR_METADATA, id="sqlite-entity"),
        pytest.param("postgresql", OUR_METADATA, id="postgresql-entity"),
        pytest.param("sqlite", PLAIN_SQLMODEL, id="sqlite-plain"),
        pytest.param("postgresql", OWN_METADATA, id="postgresql-own-metadata"),
    ],
    indirect=["backend"],
)
async def test_an_own_table_with_a_foreign_key_is_made_migrated_and_checked(
    empty_url: str, tmp_path: Path, models: str
) -> None:
    ini = write_ini(tmp_path, target_metadata="shop.models:metadata", prepend_sys_path=f"{tmp_path}\n    {ROOT}")
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "models.py").write_text(textwrap.dedent(models))
    (package / "later.py").write_text(SECOND_TABLE)
    # In a process of its own: the tables of an application stay in the metadata.
    run = await asyncio.to_thread(
        run_python, SCRIPT, json.dumps(commands(ini, empty_url)), empty_url, str(ini), folder=tmp_path
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("No new upgrade operations detected.") == 2

    first = (tmp_path / "revisions" / "notes.py").read_text()
    assert "import shop" not in first
    assert "import models" not in first
    async with Database(empty_url) as database:
        streams = await database.fetch_all("SELECT revision, stream FROM migration_checksums")
        assert {row["revision"]: row["stream"] for row in streams} == {
            **dict.fromkeys(ours(), "system"),
            "shop1": "app",
            "shop2": "app",
        }
        async with database.transaction() as session:
            talk = await ConversationFactory.create(session)
        note = {"id": new_id(), "talk": talk.id}
        await database.execute("INSERT INTO notes (id, conversation_id, text) VALUES (:id, :talk, 'a note')", note)
        await database.execute("DELETE FROM conversations WHERE id = :talk", {"talk": talk.id})
        assert await database.fetch_value("SELECT count(*) FROM notes") == 0


async def test_what_target_metadata_names_must_exist(empty_url: str, tmp_path: Path) -> None:
    ini = write_ini(tmp_path, target_metadata="shop.nowhere:metadata")
    with pytest.raises(ConfigurationError, match=r"^target_metadata names shop.nowhere:metadata, which cannot be imp"):
        await migrations.upgrade(parse_url(empty_url), config=ini)
