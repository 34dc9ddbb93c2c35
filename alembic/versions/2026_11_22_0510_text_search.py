"""text search

Revision 7d1f0a3c5b28. 2026-11-22

Words of messages and memories, found alike on both databases: PostgreSQL keeps a generated tsvector with a GIN index,
SQLite an FTS5 index that triggers keep right. Both stem by Porter's algorithm and keep every word, however frequent.
"""

import sqlalchemy as sa
from alembic import op

revision = "7d1f0a3c5b28"
down_revision = "1c6c00141f79"
branch_labels = None
depends_on = None

TABLES = ("messages", "conversation_memory")
LASTING = ("conversation_memory",)

LONGEST = 250_000
"""Characters of a text that are indexed: a tsvector ends at 1 MB."""

# Between words: ASCII's and Latin-1's punctuation, general punctuation, symbols, emoji. PostgreSQL's parser would make
# hosts, paths and numbers with signs of some of it, and, in some locales, letters of the rest.
NO_WORD = (
    r"[\u0001-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u00A9\u00AB-\u00B1\u00B4\u00B6-\u00B8\u00BB\u00BF\u00D7\u00F7"
    r"\u2000-\u206F\u20A0-\u20CF\u2190-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020\u3030\u30FB\uFE00-\uFE6F"
    r"\uFF01-\uFF0F\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65\U0001F000-\U0001FAFF\U000E0000-\U000E0FFF]+"
)
TOKENS = "asciiword, word, numword, asciihword, hword, numhword, hword_asciipart, hword_part, hword_numpart"
NUMBERS = "int, uint, float, sfloat, version"


def upgrade() -> None:
    context = op.get_context()
    language = context.opts["text_language"]
    if context.dialect.name == "postgresql":
        make_configuration(language)
        for table in TABLES:
            words = f"regexp_replace(left(content, {LONGEST}), '{NO_WORD}', ' ', 'g')"
            # Every row has to be read for it anyhow, and nothing may be written that it does not hold.
            op.execute(
                "-- squawk-ignore adding-field-with-default\n"
                f"ALTER TABLE {table} ADD COLUMN search_vector tsvector "
                f"GENERATED ALWAYS AS (to_tsvector('persona_store', {words})) STORED"
            )
            # The words of new rows wait beside the index, and who fills that list puts all of them in their place:
            # at 4 MB, as the server has it, one append in some thousands takes about a second.
            op.execute(
                f"CREATE INDEX ix_{table}_search_vector ON {table} USING gin (search_vector) "
                "WITH (gin_pending_list_limit = 512)"
            )
    else:
        for table in TABLES:
            make_index(table, language)


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(f"DROP INDEX ix_{table}_search_vector")
            op.execute(f"ALTER TABLE {table} DROP COLUMN search_vector")
        op.execute("DROP TEXT SEARCH CONFIGURATION persona_store")
        op.execute("DROP TEXT SEARCH DICTIONARY persona_store")
    else:
        for table in TABLES:
            for event in ("insert", "update", "delete"):
                op.execute(f"DROP TRIGGER {table}_search_{event}")
            op.execute(f"DROP TABLE {table}_fts")
            op.execute(f"DROP TABLE {table}_search")


def make_configuration(language: str) -> None:
    """Without stop words: which words a question does not mean is decided when it is asked, alike on both databases."""
    if language == "simple":
        op.execute("CREATE TEXT SEARCH DICTIONARY persona_store (TEMPLATE = simple)")
    else:
        stemmer = "porter" if language == "english" else language
        op.execute(f"CREATE TEXT SEARCH DICTIONARY persona_store (TEMPLATE = snowball, LANGUAGE = {stemmer})")
    op.execute("CREATE TEXT SEARCH CONFIGURATION persona_store (PARSER = default)")
    op.execute(f"ALTER TEXT SEARCH CONFIGURATION persona_store ADD MAPPING FOR {TOKENS} WITH persona_store")
    op.execute(f"ALTER TEXT SEARCH CONFIGURATION persona_store ADD MAPPING FOR {NUMBERS} WITH simple")


def make_index(table: str, language: str) -> None:
    """`{table}_search` gives each row a number of its own: SQLite may change the rowid of the table in a VACUUM.

    `size` is how long its text is: a search asks that of each row that holds a word, and does without the row itself.
    A text that changes gets another number, of `LASTING` tables one that never was another's: what it stands for may be
    held.
    """
    stemmer = "porter " if language == "english" else ""
    number = f"(SELECT number FROM {table}_search WHERE row_id = %s.id)"
    put = f"INSERT INTO {table}_fts (rowid, content) VALUES ({number}, substr(%s.content, 1, {LONGEST}));"
    take = (
        f"INSERT INTO {table}_fts ({table}_fts, rowid, content) "
        f"VALUES ('delete', {number}, substr(%s.content, 1, {LONGEST}));"
    )
    old, new = ("old", "old"), ("new", "new")
    op.create_table(
        f"{table}_search",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("row_id", sa.CHAR(32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f(f"pk_{table}_search")),
        sa.UniqueConstraint("row_id", name=op.f(f"uq_{table}_search_row_id")),
        sqlite_autoincrement=table in LASTING,
    )
    op.execute(
        f"CREATE VIRTUAL TABLE {table}_fts "
        f"USING fts5(content, content='', tokenize='{stemmer}unicode61 remove_diacritics 0')"
    )
    op.execute(f"INSERT INTO {table}_search (row_id, size) SELECT id, length(content) FROM {table}")
    op.execute(
        f"INSERT INTO {table}_fts (rowid, content) SELECT s.number, substr(t.content, 1, {LONGEST}) "
        f"FROM {table}_search AS s JOIN {table} AS t ON t.id = s.row_id"
    )
    add = f"INSERT INTO {table}_search (row_id, size) VALUES (new.id, length(new.content));"
    remove = f"DELETE FROM {table}_search WHERE row_id = old.id;"
    op.execute(f"CREATE TRIGGER {table}_search_insert AFTER INSERT ON {table} BEGIN {add} {put % new} END")
    op.execute(
        f"CREATE TRIGGER {table}_search_update AFTER UPDATE OF content ON {table} BEGIN "
        f"{take % old} {remove} {add} {put % new} END"
    )
    op.execute(f"CREATE TRIGGER {table}_search_delete AFTER DELETE ON {table} BEGIN {take % old} {remove} END")
