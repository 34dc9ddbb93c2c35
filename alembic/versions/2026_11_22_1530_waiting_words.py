"""waiting words

Revision 5b2c81e7f0a4. 2026-11-22

PostgreSQL only: words of new rows wait in a list until there are enough of them to be sorted into the index, and every
question reads the whole list for each of its words. By default that may be 4 MB, ten times as much work as the index.
"""

from alembic import op

revision = "5b2c81e7f0a4"
down_revision = "3a9e64d0c7b1"
branch_labels = None
depends_on = None

TABLES = ("messages", "conversation_memory")

MOST_KB = 256


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(f"ALTER INDEX ix_{table}_search_vector SET (gin_pending_list_limit = {MOST_KB})")


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(f"ALTER INDEX ix_{table}_search_vector RESET (gin_pending_list_limit)")
