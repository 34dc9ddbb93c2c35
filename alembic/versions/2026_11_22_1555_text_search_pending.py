"""text search pending

Revision c52e8b1f9d04. 2026-11-22

PostgreSQL only: the words of new rows wait beside a text index, and who fills that list puts all in their place.
At 4 MB, as the server has it, one append in some thousands takes about a second; at an eighth of it no one waits long.
"""

from alembic import op

revision = "c52e8b1f9d04"
down_revision = "3a9e64d0c7b1"
branch_labels = None
depends_on = None

INDEXES = ("ix_messages_search_vector", "ix_conversation_memory_search_vector")


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for index in INDEXES:
            op.execute(f"ALTER INDEX {index} SET (gin_pending_list_limit = 512)")


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for index in INDEXES:
            op.execute(f"ALTER INDEX {index} RESET (gin_pending_list_limit)")
