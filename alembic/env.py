"""What alembic runs: it decides which database and which tables, and hands them to the migration."""

import asyncio
import importlib
import logging.config
import operator
import re
import warnings
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.util import CommandError
from sqlalchemy.engine import Connection

import database.history.impl  # noqa: F401  # registers itself with alembic
from database.engine import create_engines
from database.errors import StoreError
from database.history import checksums
from database.history.portable import render_item
from database.history.rewrite import rewrite
from database.history.transaction import explained, transaction
from database.settings import Settings, load_settings
from database.url import parse_url
from models import metadata

config = context.config
options = context.get_x_argument(as_dictionary=True)
system = Path(__file__).parent / "versions"

TEXT_SEARCH = re.compile("_(search|fts(_[a-z]+)?)$")
"""Tables beside those of texts and vectors on SQLite, for the search of these."""


def settings() -> Settings:
    return config.attributes.get("settings") or load_settings()


def address() -> sa.URL:
    """The caller's, or `-x database_url=`, or DATABASE_URL."""
    given = config.attributes.get("url") or options.get("database_url")
    return parse_url(given or settings().database_url.get_secret_value())


def patience() -> int:
    """`-x timeout=`, in seconds."""
    try:
        return int(options.get("timeout", 300))
    except ValueError:
        raise CommandError("-x timeout= takes a number of seconds") from None


def tables() -> list[sa.MetaData]:
    """Ours, and those that `target_metadata` in alembic.ini names, one `package.module:attribute` a line."""
    found: list[sa.MetaData] = [*config.attributes.get("target_metadata", [metadata])]
    for line in (config.get_main_option("target_metadata") or "").split():
        module, _, attribute = line.partition(":")
        try:
            theirs = operator.attrgetter(attribute or "metadata")(importlib.import_module(module))
        except (ImportError, AttributeError) as error:
            raise CommandError(f"target_metadata names {line}, which cannot be imported: {error}") from error
        if not any(theirs is known for known in found):
            found.append(theirs)
    return found


def is_compared(name: str | None, kind: str, parents: object) -> bool:
    """Not the table of checksums, nor the indexes of single embedding spaces and of fuzzy search, which come and go;
    nor what text search keeps, which no model shows."""
    if name is None:
        return True
    if kind == "index":
        return not name.startswith(("ix_hnsw_", "ix_fuzzy_")) and not name.endswith("_search_vector")
    if kind == "column":
        return name != "search_vector"
    return kind != "table" or not (name == checksums.APPLIED.name or TEXT_SEARCH.search(name))


def applied(ctx: MigrationContext, step: MigrationInfo, heads: object, run_args: object) -> None:
    checksums.record(ctx, step, system)


def migrate(**where: Any) -> None:
    context.configure(
        target_metadata=tables(),
        compare_type=True,
        compare_server_default=True,
        autogenerate_plugins=["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
        include_name=is_compared,
        # A batch is a plain ALTER TABLE on PostgreSQL and a copy of the table on SQLite, which cannot alter one.
        render_as_batch=True,
        render_item=render_item,
        process_revision_directives=rewrite,
        on_version_apply=applied,
        transactional_ddl=True,
        transaction_per_migration=False,
        text_language=settings().text_language,
        **where,
    )
    with transaction(context.get_context(), patience()):
        context.run_migrations()


def migrate_over(connection: Connection) -> None:
    with explained(connection.engine) as said:
        try:
            migrate(connection=connection)
        except StoreError as error:
            # What failed first: cleaning up after it fails too, in a transaction that is lost.
            first = error
            while isinstance(first.__context__, StoreError):
                first = first.__context__
            words = said.get(first.__cause__) if first.__cause__ else None
            raise CommandError(f"{first}: {words}" if words else str(first)) from first


async def connect() -> None:
    url = address()
    if url.get_backend_name() == "postgresql":
        # A statement prepared before a table changed would fail after it.
        url = url.update_query_dict({"prepared_statement_cache_size": "0"})
    engines = create_engines(url, None, settings())
    try:
        async with engines.writer.connect() as connection:
            await connection.run_sync(migrate_over)
    except StoreError as error:
        raise CommandError(str(error)) from error
    finally:
        await engines.dispose()


# Reflection on SQLite does not see indexes on expressions; database.history.impl looks at them itself.
warnings.filterwarnings("ignore", message=".*expression-based index ", category=sa.exc.SAWarning)
if config.cmd_opts is not None and config.config_file_name is not None and config.file_config.has_section("loggers"):
    # For the command only: in an application its own logging stands.
    logging.config.fileConfig(config.config_file_name, disable_existing_loggers=False)

if context.is_offline_mode():
    migrate(url=address(), literal_binds=True, dialect_opts={"paramstyle": "named"})
elif connection := config.attributes.get("connection"):
    migrate_over(connection)
else:
    asyncio.run(connect())
