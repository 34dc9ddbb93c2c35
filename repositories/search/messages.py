"""Messages by words, by vector or both: one statement, told in CTEs, whose dialect lies in a few named pieces.

`found` are the words of the question in the messages of the scope. A narrow scope is then compared whole; of a wide
one the best by words and the nearest by vector are candidates, each with the messages beside it. Every row gets its
own score, then what its neighbours, its episode and its speaker add.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from database import Session
from models.types import UTCDateTime
from repositories.message_record import RECORD_COLUMNS
from repositories.search import hybrid
from repositories.search.contract import Ranked
from repositories.search.dates import NamedTime
from repositories.search.hybrid import (
    BM25,
    LIKELY_A_CANDIDATE,
    RARITY,
    TOLD,
    HybridQuery,
    Pieces,
    ask,
    bound,
    candidates_for,
    limits,
    parameters,
)
from repositories.search.ranking import Ranking, ScoreParts
from repositories.search.words import FIRST_PERSON

YEAR_DAYS = 365.25
NEVER_AGAIN = 1e9
"""Days after which a time of the year comes round, and for a time with its year."""

MORE_FOR_A_TIME = 3

SQL = """
WITH reach AS MATERIALIZED (
    SELECT CAST(coalesce(sum(c.message_count), 0) AS BIGINT) AS messages,
        CAST(coalesce(sum(c.last_episode), 0) AS BIGINT) AS episodes
    FROM conversations AS c
    WHERE {talks}
),
{words},
{found},
named AS MATERIALIZED (
    SELECT name, {first_name} AS word
    FROM (SELECT DISTINCT name FROM found WHERE name <> '') AS names
    WHERE {first_name} IN (SELECT word FROM words)
),
speaker AS MATERIALIZED (
    SELECT CASE WHEN count(DISTINCT name) = 1 THEN min(name) END AS name FROM named
),
telling AS MATERIALIZED (
    SELECT n, count(*) AS times, count(*) > :most {and_wide} AS partly
    FROM found
    WHERE word NOT IN (SELECT word FROM named)
        OR (SELECT count(DISTINCT word) FROM named) = (SELECT count(*) FROM words)
    GROUP BY n
),
{rarity},
hits AS MATERIALIZED (
    SELECT found.*, weight, frequent, partly
    FROM found JOIN rarity ON rarity.n = found.n
    WHERE NOT frequent OR :every_word
),
typical AS MATERIALIZED (
    SELECT avg(size) AS typical_size FROM hits WHERE NOT frequent
),
lexical AS MATERIALIZED (
    SELECT id, conversation_id, position, episode, name, sent_at, sum(weight * {bm25}) AS score,
        sum(CASE WHEN NOT partly THEN weight * {bm25} END) AS known, max(sum(weight * {bm25})) OVER () AS highest
    FROM hits CROSS JOIN typical
    GROUP BY id, conversation_id, position, episode, name, sent_at
),
episode_hits AS MATERIALIZED (
    SELECT n, conversation_id, episode, count(*) AS times
    FROM hits
    WHERE NOT frequent
    GROUP BY n, conversation_id, episode
),
episode_rarity AS (
    SELECT n,
        ln(CAST(1 + ((SELECT episodes FROM reach) - count(*) + 0.5) / (count(*) + 0.5) AS DOUBLE PRECISION)) AS weight
    FROM episode_hits
    GROUP BY n
),
episodes AS MATERIALIZED (
    SELECT conversation_id, episode, sum(weight * times * {k1_plus_1} / (times + {k1})) AS score,
        max(sum(weight * times * {k1_plus_1} / (times + {k1}))) OVER () AS highest
    FROM episode_hits JOIN episode_rarity ON episode_rarity.n = episode_hits.n
    GROUP BY conversation_id, episode
),
{near},
likely AS MATERIALIZED (
    SELECT s.id, s.conversation_id, s.position,
        :words_weight * s.score / s.highest
        + :time * coalesce({nearness}, 0)
        + :episode * coalesce(e.score / e.highest, 0)
        + CASE WHEN s.name = (SELECT name FROM speaker) THEN :speaker + :first_person / 2 ELSE 0 END AS score
    FROM lexical AS s LEFT JOIN episodes AS e ON e.conversation_id = s.conversation_id AND e.episode = s.episode
    WHERE (SELECT messages FROM reach) > :narrow
    ORDER BY score DESC, s.id
    LIMIT {likely}
),
candidates AS (
    SELECT conversation_id, position FROM (
        {best}
    ) AS best
    UNION
    SELECT conversation_id, position FROM near
),
places AS MATERIALIZED (
    SELECT DISTINCT conversation_id, position + step AS position
    FROM candidates CROSS JOIN (SELECT -1 AS step UNION ALL SELECT 0 UNION ALL SELECT 1) AS steps
    WHERE (SELECT messages FROM reach) > :narrow
),
{measured}scope AS MATERIALIZED (
    SELECT {scope_columns}
    FROM reach CROSS JOIN {each_row} JOIN conversations AS c ON c.id = r.conversation_id
    WHERE reach.messages <= :narrow AND {talks}
    UNION ALL
    SELECT {scope_columns}
    FROM places AS p JOIN messages AS r ON r.conversation_id = p.conversation_id AND r.position = p.position {vectors}
),
{told},
own AS MATERIALIZED (
    SELECT s.*, {role_and_time} AS wanted,
        s.score IS NOT NULL OR s.similarity IS NOT NULL AS eligible,
        :similarity * coalesce(s.similarity, 0) AS part_similarity,
        :words_weight * coalesce(s.score / s.highest, 0) AS part_words,
        :time * coalesce({nearness}, 0) AS part_time
    FROM told AS s
),
beside AS (
    SELECT o.*, part_similarity + part_words + part_time AS own,
        CASE WHEN lag(position) OVER talk = position - 1
            THEN lag(part_similarity + part_words + part_time) OVER talk ELSE 0 END AS before,
        CASE WHEN lag(position) OVER talk = position - 1 THEN lag(asks) OVER talk END AS before_asks,
        CASE WHEN lead(position) OVER talk = position + 1
            THEN lead(part_similarity + part_words + part_time) OVER talk ELSE 0 END AS after
    FROM own AS o
    WINDOW talk AS (PARTITION BY conversation_id ORDER BY position)
),
parts AS (
    SELECT b.id, part_similarity, part_words, part_time,
        :neighbours * {greatest}(b.before, b.after, 0) AS part_neighbours,
        CASE WHEN b.before_asks THEN :reply * b.before ELSE 0 END AS part_reply,
        :episode * coalesce(e.score / e.highest, 0) AS part_episode,
        CASE WHEN b.of_speaker THEN :speaker ELSE 0 END AS part_speaker,
        CASE WHEN b.of_itself THEN :first_person ELSE 0 END AS part_first_person
    FROM beside AS b LEFT JOIN episodes AS e ON e.conversation_id = b.conversation_id AND e.episode = b.episode
    WHERE b.wanted AND b.eligible
),
ranked AS (
    SELECT p.*, {total} AS score FROM parts AS p ORDER BY score DESC, id LIMIT :limit
)
SELECT {read}, {part_names}, ranked.score AS score,
    (SELECT messages FROM reach) <= :narrow {complete} AS complete, (SELECT count(*) FROM near) AS met
FROM ranked JOIN messages AS r ON r.id = ranked.id
ORDER BY ranked.score DESC, ranked.id
"""

SCOPE_COLUMNS = """r.id, r.conversation_id, r.position, r.episode, r.role, r.sent_at, r.content LIKE '%?%' AS asks,
        {similarity} AS similarity, r.name = (SELECT name FROM speaker) AS of_speaker,
        CASE WHEN r.name = (SELECT name FROM speaker) THEN {of_itself} END AS of_itself"""

NOT_NEAR = "near AS (SELECT id, conversation_id, position FROM messages WHERE 1 = 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageQuery(HybridQuery):
    """What is asked of messages. `talks` are conditions on conversations, by column."""

    time: NamedTime | None
    ranking: Ranking
    talks: Mapping[str, object]
    roles: Sequence[str]
    since: object
    until: object

    @property
    def candidates(self) -> int:
        """More where a time is named: what is near that time need not be among the nearest by vector."""
        return candidates_for(self.limit) * (MORE_FOR_A_TIME if self.time else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePieces(Pieces):
    first_name: str
    of_itself: str
    and_wide: str = ""
    """Where the rows of a word are all met in a narrow scope."""
    near: str = NOT_NEAR


PIECES = ("words", "found", "and_wide", "near", "best", "measured", "each_row", "of_cut")


@lru_cache(maxsize=1_000)
def statement(
    dialect: MessagePieces, candidates: int, talks: tuple[str, ...], roles: int, since: bool, until: bool
) -> sa.TextualSelect:
    """Built once for each form of a question."""
    of_talk = of_talks(talks)
    wanted = [f"s.role IN ({', '.join(f':role_{n}' for n in range(roles))})"] if roles else []
    wanted += ["s.sent_at >= :since"] if since else []
    wanted += ["s.sent_at < :until"] if until else []
    parts = [f"part_{field.name}" for field in fields(ScoreParts)]
    role_and_time = " AND ".join(wanted) or "1 = 1"
    pieces = {
        **BM25,
        **limits(candidates, LIKELY_A_CANDIDATE * candidates),
        "table": "messages",
        "all_of": "known",
        "talks": of_talk,
        "role_and_time": role_and_time,
        "wanted": role_and_time.replace("s.", "r."),
        "first_name": dialect.first_name,
        "of_talks": f"JOIN conversations AS c ON c.id = r.conversation_id AND {of_talk}" if talks else "",
        "greatest": dialect.greatest,
        "least": dialect.least,
        "similarity": dialect.similarity,
        "nearness": f"exp(-abs({dialect.days} - :period * round({dialect.days} / :period)) / :days)",
        "vectors": dialect.vectors,
        "total": " + ".join(parts),
        "part_names": ", ".join(parts),
        "read": ", ".join(f"r.{column.name}" for column in RECORD_COLUMNS),
        "complete": dialect.complete,
        "scope_columns": SCOPE_COLUMNS.format(similarity=dialect.similarity, of_itself=dialect.of_itself),
    }
    pieces |= {name: getattr(dialect, name).format(**pieces) for name in PIECES}
    pieces |= {"rarity": RARITY.format(**pieces, rows="messages"), "told": TOLD.format(**pieces)}
    columns = [*RECORD_COLUMNS, *(sa.column(name, sa.Float) for name in parts)]
    return bound(SQL.format(**pieces), Ranking, TYPES, columns)


def of_talks(talks: Sequence[str]) -> str:
    """The condition on a conversation `c`, whose parameters `talk_values` has."""
    return " AND ".join(f"c.{name} = :talk_{name}" for name in talks).replace("c.conversation_id", "c.id") or "1 = 1"


def talk_values(talks: Mapping[str, object]) -> dict[str, object]:
    return {f"talk_{name}": value for name, value in talks.items()}


TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "since": UTCDateTime(),
    "until": UTCDateTime(),
    "at": UTCDateTime(),
    "talk_conversation_id": sa.Uuid(),
    "talk_persona_id": sa.Uuid(),
    "days": sa.Float(),
    "period": sa.Float(),
}


async def rank(session: Session, query: MessageQuery, pieces: MessagePieces, more: Mapping[str, object]) -> Ranked:
    """Ask, in one statement. `more`: the parameters that one database alone has, or another `narrow`."""
    times = (query.since is not None, query.until is not None)
    form = statement(pieces, query.candidates, tuple(query.talks), len(query.roles), *times)
    return await ask(session, form, {**_values(query), **more})


def _values(query: MessageQuery) -> dict[str, object]:
    values = parameters(query, query.ranking, hybrid.MOST_MATCHES) | {
        "of_itself": " ".join(FIRST_PERSON),
        "at": query.time and query.time.at,
        "days": query.time.days if query.time else 1.0,
        "period": YEAR_DAYS if query.time and query.time.yearly else NEVER_AGAIN,
    }
    values |= talk_values(query.talks)
    values |= {f"role_{n}": role for n, role in enumerate(query.roles)}
    times = {"since": query.since, "until": query.until}
    return values | {name: value for name, value in times.items() if value is not None}
