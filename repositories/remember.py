"""The statement behind `memories.remember`: the memory, whose it is, and on PostgreSQL its vector too, built once."""

from functools import cache

import sqlalchemy as sa

from database.prepared import Statement
from models import Conversation, Memory, MemoryEmbedding
from repositories.ownership import table_of
from repositories.row_statement import insert_selected, new_row, parameter

CONVERSATIONS = table_of(Conversation)
MEMORIES = table_of(Memory)
VECTORS = table_of(MemoryEmbedding)

TALK_OWNER = (
    sa.select(CONVERSATIONS.c.owner_id)
    .where(CONVERSATIONS.c.id == parameter(MEMORIES.c.conversation_id))
    .scalar_subquery()
)
"""Without an owner in the session the conversation says whose its memories are."""


@cache
def remember_statement(dialect_name: str, owned: bool, of_talk: bool, with_vector: bool) -> Statement:
    """Parameters: the columns of a memory, and `embedding_space_id` and `embedding` if `with_vector`.

    No row: it refers to what is not there, or is another owner's; or it names another owner than its conversation has.
    """
    insert = new_row(dialect_name, Memory, owned, None if owned or not of_talk else TALK_OWNER)
    if not with_vector:
        return insert.returning(*MEMORIES.columns)
    memory = insert.returning(*MEMORIES.columns).cte("memory")
    values = {
        "memory_id": memory.c.id,
        "created_at": memory.c.created_at,
        "updated_at": memory.c.updated_at,
        **{name: parameter(VECTORS.c[name]) for name in ("embedding_space_id", "embedding")},
    }
    vector = insert_selected(dialect_name, VECTORS, values)
    return sa.select(*memory.c).add_cte(vector.returning(sa.literal(1)).cte("vector"))
