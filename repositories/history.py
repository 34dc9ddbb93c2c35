"""The statement behind `messages.history`, built once for each of its forms."""

from functools import cache
from typing import Any

import sqlalchemy as sa

from models import Message
from repositories.message_record import RECORD_COLUMNS
from repositories.ownership import owner_parameter, table_of, visible

MESSAGES = table_of(Message)


@cache
def history_statement(owned: bool, before: bool, after: bool) -> sa.Select[Any]:
    """Records by their columns. Parameters: of_conversation, most, owner_id if `owned`, before and after if so.

    The newest first; the oldest first if only `after` bounds them.
    """
    position = MESSAGES.c.position
    conditions = [
        MESSAGES.c.conversation_id == sa.bindparam("of_conversation", type_=MESSAGES.c.conversation_id.type),
        *visible(Message, owner_parameter(owned)),
    ]
    if before:
        conditions.append(position < sa.bindparam("before", type_=position.type))
    if after:
        conditions.append(position > sa.bindparam("after", type_=position.type))
    order = position.asc() if after and not before else position.desc()
    most = sa.bindparam("most", type_=sa.Integer())
    return sa.select(*RECORD_COLUMNS).where(*conditions).order_by(order).limit(most)
