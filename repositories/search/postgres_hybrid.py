"""Words and vectors on PostgreSQL: the GIN index, and vectors exactly or through the index of their space."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from database import Session
from models import EmbeddingSpace, Metric
from repositories.search.contract import Ranked
from repositories.search.hybrid import EVERY_WORD, EVERYTHING, HybridQuery, Pieces
from repositories.search.literals import space_literals
from repositories.search.postgres_index import EVERYWHERE, OPERATORS, SEARCHES_WIDELY, Scope, is_ready

PiecesT = TypeVar("PiecesT", bound=Pieces)

USUAL = 0.25
"""Of the rows: a word that so many have is sooner met from row to row than in the index, which has no beginning: it
lists all rows of a word before it gives the first."""

WORDS = f"""known AS MATERIALIZED (
    SELECT CAST(CAST(most_common_elems AS text) AS text[]) AS lexemes, most_common_elem_freqs AS frequencies
    FROM pg_stats
    WHERE schemaname = current_schema AND tablename = '{{table}}' AND attname = 'search_vector'
),
words AS MATERIALIZED (
    SELECT n, word, query, numnode(query) > 0 AND coalesce((
        SELECT bool_and(coalesce(frequencies[array_position(lexemes, lexeme)] > {USUAL}, false))
        FROM known, unnest(tsvector_to_array(to_tsvector('persona_store', word))) AS lexeme
    ), false) AS usual
    FROM unnest((SELECT CAST(:words AS text[]))) WITH ORDINALITY AS w (word, n)
        CROSS JOIN LATERAL phraseto_tsquery('persona_store', word) AS query
)"""
"""`usual` by what the last ANALYZE saw: it tells which way to go, and what is found is the same."""

OF_CUT = """SELECT s.id, cut.weight, r.size
        FROM scope AS s CROSS JOIN LATERAL (
            SELECT search_vector, CAST(length(content) AS float8) AS size FROM {table} AS r WHERE r.id = s.id OFFSET 0
        ) AS r JOIN cut ON r.search_vector @@ cut.query
        WHERE EXISTS (SELECT 1 FROM cut)"""
"""OFFSET 0: row by row of the scope; the text index would bring all rows of words that very many hold."""

SIMILARITIES = {
    Metric.COSINE: "1 - (v.embedding <=> CAST(:vector AS vector))",
    Metric.INNER_PRODUCT: "0 - (v.embedding <#> CAST(:vector AS vector))",
    Metric.L2: "1 / (1 + (v.embedding <-> CAST(:vector AS vector)))",
}


PARAMETER = re.compile(r"(?<!:):([a-z]\w*)")
"""As `sa.text` has them."""

SEEN = ("words", "vector")
"""A list would be one of a single text, and an index is asked for a vector as it stands."""


def hidden(sql: str, filters: Sequence[str]) -> str:
    """So that no plan is better for one question than for another: planning took a third of the time of a search, and
    the server keeps a plan only where those for the values of the first questions were no cheaper."""
    return _hidden(sql, SEEN)


def hidden_but_filters(sql: str, filters: Sequence[str]) -> str:
    """Through an index it matters for the plan how many rows pass the filters."""
    return _hidden(sql, (*SEEN, *filters))


def _hidden(sql: str, seen: Sequence[str]) -> str:
    return PARAMETER.sub(lambda found: found[0] if found[1] in seen else f"(SELECT {found[0]})", sql)


def with_vectors(
    words: PiecesT, near: str, table: str, key: str, space: EmbeddingSpace | None, approximate: bool
) -> PiecesT:
    """The pieces for a space, whose vectors are in `table` by `key`; without a space those of words alone."""
    if space is None:
        return words
    literal, halfvec = space_literals(space)
    operator = OPERATORS[space.metric]
    if approximate:
        distance = f"CAST(v.embedding AS {halfvec}) {operator} CAST(CAST(:vector AS vector) AS {halfvec})"
    else:
        distance = f"v.embedding {operator} CAST(:vector AS vector), v.{key}"
    return replace(
        words,
        near=near.format(space=literal, distance=distance, key=key, widely=SEARCHES_WIDELY if approximate else "true"),
        vectors=f"LEFT JOIN {table} AS v ON v.{key} = r.id AND v.embedding_space_id = {literal}",
        similarity=SIMILARITIES[space.metric],
    )


async def through_index_or_exactly(
    session: Session,
    query: HybridQuery,
    table: str,
    scope: Scope | None,
    values: Mapping[str, object],
    ask: Callable[[bool, Mapping[str, object]], Awaitable[Ranked]],
) -> Ranked:
    """Through the space's index where it is ready. Where it did not meet all candidates (the question is far from its
    scope, or the scope is small) the nearest are sought exactly, and for too few hits all of the scope is compared.

    `scope`, with its `values`: how many rows it has; None: it is narrow. `ask(approximate, values)`.
    """
    scope = {"auto": scope, "exact": None, "approximate": EVERYWHERE}[query.mode]
    through_index = (
        query.space is not None
        and scope is not None
        and await is_ready(session, table, query.space.id, query.candidates, scope, values)
    )
    rows, complete = await ask(through_index, {})
    if through_index and not complete and (not rows or rows[0]["met"] < query.candidates):
        rows, complete = await ask(False, {})
        if not complete and len(rows) < query.limit:
            return await ask(False, {"narrow": EVERYTHING, **EVERY_WORD})
    return rows, complete
