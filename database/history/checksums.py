"""Which revision files have been applied, and with what text: a released file is never edited, and this shows it."""

import hashlib
from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script, ScriptDirectory
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable

SYSTEM = "system"
APP = "app"

APPLIED = sa.Table(
    "migration_checksums",
    sa.MetaData(naming_convention={"pk": "pk_%(table_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s"}),
    sa.Column("revision", sa.Text, primary_key=True),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("checksum", sa.Text, nullable=False),
    sa.Column("applied_at", sa.DateTime(timezone=True), server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
    sa.CheckConstraint(f"stream IN ('{SYSTEM}', '{APP}')", name="stream"),
)
"""Kept beside alembic's own table, and like it made before the first revision and no part of the history."""


def checksum(path: Path) -> str:
    """SHA-256 of a revision's text; how its lines end does not matter, git may change that."""
    text = path.read_text(encoding="utf-8")
    return hashlib.sha256("\n".join(text.splitlines()).encode()).hexdigest()


def record(context: MigrationContext, step: MigrationInfo, system: Path) -> None:
    """Note that a revision was applied or taken back. `system` is the folder of our own revisions."""
    if step.is_stamp:
        return
    context.execute(CreateTable(APPLIED, if_not_exists=True))
    script = step.up_revision
    assert isinstance(script, Script)
    context.execute(APPLIED.delete().where(APPLIED.c.revision == script.revision))
    if step.is_upgrade:
        path = Path(script.path)
        row = {
            "revision": script.revision,
            "filename": path.name,
            "stream": SYSTEM if path.resolve().parent == system.resolve() else APP,
            "description": script.doc,
            "checksum": checksum(path),
        }
        context.execute(APPLIED.insert().values(row))


def applied(scripts: ScriptDirectory, heads: tuple[str, ...]) -> dict[str, Script]:
    """Every revision that a database at `heads` has behind it, by its id."""
    return {script.revision: script for script in scripts.iterate_revisions(heads, "base")} if heads else {}


def changed(connection: Connection, scripts: ScriptDirectory, heads: tuple[str, ...]) -> list[str]:
    """A sentence for each applied revision whose file is not what it was."""
    if not sa.inspect(connection).has_table(APPLIED.name):
        return []
    files = applied(scripts, heads)
    rows = connection.execute(
        sa.select(APPLIED.c.revision, APPLIED.c.filename, APPLIED.c.checksum).order_by(APPLIED.c.filename)
    )
    return [
        f"{filename} was changed after it was applied"
        for revision, filename, then in rows
        if revision in files and checksum(Path(files[revision].path)) != then
    ]
