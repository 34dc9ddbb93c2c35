"""Messages of many conversations in one statement, where one statement can write two tables: `append` for a group.

The rows of the conversations are locked in the order of their ids, so that two groups do not wait for each other in a
circle. What is stored is not looked at here: the plan of a statement that is prepared once would go by how few messages
there were then.
"""

from functools import cache
from typing import Any

import sqlalchemy as sa

from models import Conversation, Message
from repositories.append import GIVEN
from repositories.ownership import table_of

CONVERSATIONS = table_of(Conversation)
MESSAGES = table_of(Message)

OF_ALL = ("created_at", "updated_at")
"""What is the same moment for the whole group: the parameter `now`."""

COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "n": sa.BigInteger(),
    "conversation_id": MESSAGES.c.conversation_id.type,
    "owner_id": sa.Text(),
    "given_episode": sa.BigInteger(),
    "is_stored": sa.Boolean(),
    **{name: MESSAGES.c[name].type for name in GIVEN if name not in OF_ALL},
}
"""What the parameter `messages` says of each message, a JSON array of objects: the driver takes one text at half
the cost of an array for each column."""


@cache
def group_statement() -> sa.Select[Any]:
    """For each message, in order: `is_there`, whether the owner has such a conversation; its position and episode.

    Parameters: `messages`, as COLUMNS tells; `conversations`, their ids; `now`; `gap`, the silence before an episode.
    What `is_stored` takes no place, and nor does what has no conversation: nulls. An id that another transaction has
    stored meanwhile violates the key, and nothing of the group is kept.
    """
    v = _messages().cte("v")
    c = _locked().cte("c")
    e = _placed(v, c).cte("e")
    of_each = [name for name in (*GIVEN, "conversation_id", "position", "episode") if name not in OF_ALL]
    of_all = [sa.bindparam("now", type_=MESSAGES.c[name].type) for name in OF_ALL]
    insert = sa.insert(MESSAGES).from_select(
        [*of_each, *OF_ALL], sa.select(*(e.c[name] for name in of_each), *of_all), include_defaults=False
    )
    answer = (
        sa.select(c.c.id.is_not(None).label("is_there"), e.c.position, e.c.episode)
        .select_from(v.outerjoin(c, _is_of(v, c)).outerjoin(e, e.c.n == v.c.n))
        .order_by(v.c.n)
    )
    return answer.add_cte(insert.cte("i"), _counted(e).cte("u"))


def _messages() -> sa.Select[Any]:
    given = sa.cast(sa.bindparam("messages", type_=sa.Text()), sa.JSON())
    columns = [sa.column(name, kind) for name, kind in COLUMNS.items()]
    return sa.select(sa.func.json_to_recordset(given).table_valued(*columns, name="g").render_derived(with_types=True))


def _locked() -> sa.Select[Any]:
    place = CONVERSATIONS.c
    return (
        sa.select(place.id, place.owner_id, place.last_position, place.last_episode, place.last_message_at)
        .where(place.id == sa.any_(sa.bindparam("conversations", type_=sa.ARRAY(place.id.type))))
        .order_by(place.id)
        .with_for_update(key_share=True)
    )


def _is_of(v: sa.CTE, c: sa.CTE) -> sa.ColumnElement[bool]:
    return (c.c.id == v.c.conversation_id) & (v.c.owner_id.is_(None) | (v.c.owner_id == c.c.owner_id))


def _placed(v: sa.CTE, c: sa.CTE) -> sa.Select[Any]:
    """New messages with their positions, and their episodes by the rule of `Places`.

    An episode is the highest that was given before, or the conversation's last, and one more for each beginning since;
    where one is given, that one.
    """
    window: dict[str, Any] = {"partition_by": v.c.conversation_id, "order_by": v.c.n}
    place = sa.func.row_number().over(**window)
    before = v.c.sent_at - sa.bindparam("gap", type_=sa.Interval())
    silent = sa.func.lag(v.c.sent_at, 1, c.c.last_message_at).over(**window) < before
    begins = v.c.given_episode.is_(None) & (((c.c.last_episode == 0) & (place == 1)) | silent)
    p = (
        sa.select(
            v,
            c.c.last_episode,
            place.label("place"),
            (c.c.last_position + place).label("position"),
            sa.cast(begins, sa.Integer).label("begins"),
            (sa.func.count().over(partition_by=v.c.conversation_id) == place).label("is_last"),
        )
        .select_from(v.join(c, _is_of(v, c)))
        .where(v.c.is_stored.is_not(True))
        .subquery("p")
    )
    window = {"partition_by": p.c.conversation_id, "order_by": p.c.n}
    s = sa.select(p, sa.func.sum(p.c.begins).over(**window).label("begun")).subquery("s")
    window = {"partition_by": s.c.conversation_id, "order_by": s.c.n}
    given = sa.func.max(s.c.given_episode - s.c.begun).over(**window)
    reached = s.c.begun + sa.func.greatest(s.c.last_episode, given)
    return sa.select(
        s,
        reached.label("reached"),
        sa.func.coalesce(s.c.given_episode, reached).label("episode"),
        *(
            sa.func.sum(s.c[name]).over(partition_by=s.c.conversation_id).label(f"all_{name}")
            for name in ("input_tokens", "output_tokens")
        ),
    )


def _counted(e: sa.CTE) -> sa.Update:
    """What the new messages add to their conversations: all of it stands in the last one's row."""
    row = CONVERSATIONS.c
    return (
        sa.update(CONVERSATIONS)
        .where(row.id == e.c.conversation_id, e.c.is_last)
        .values(
            last_position=e.c.position,
            last_episode=e.c.reached,
            message_count=row.message_count + e.c.place,
            input_tokens=row.input_tokens + sa.func.coalesce(e.c.all_input_tokens, 0),
            output_tokens=row.output_tokens + sa.func.coalesce(e.c.all_output_tokens, 0),
            last_message_at=e.c.sent_at,
            # New messages are no change of the conversation by a caller.
            updated_at=row.updated_at,
        )
    )
