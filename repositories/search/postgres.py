"""Search on PostgreSQL: exact by `vector`, or through a space's index by `halfvec` and then ranked exactly.

The two never meet in a plan: an index over half precision cannot answer a question in single precision, so an exact
search is exact whatever the planner chooses.
"""

from database import Session
from models import Metric
from repositories.search.contract import Found, Rows, VectorQuery, rows_of
from repositories.search.hybrid import NARROW
from repositories.search.literals import space_literals
from repositories.search.postgres_index import (
    OPERATORS,
    READY,
    SEARCHES_WIDELY,
    build_indexes,
    drop_indexes,
    index_parameters,
    indexes,
    is_ready,
)
from repositories.search.postgres_memories import memories
from repositories.search.postgres_messages import holds, messages

__all__ = ["build_indexes", "drop_indexes", "holds", "indexes", "memories", "messages", "nearest"]

SCORES = {Metric.COSINE: "1 - distance", Metric.L2: "0 - distance", Metric.INNER_PRODUCT: "0 - distance"}

EXACT = """
WITH nearest AS (
    SELECT {read}, {vectors}.embedding {operator} CAST(:vector AS vector) AS distance
    FROM {rows}
    WHERE {vectors}.embedding_space_id = {space}{conditions}
    ORDER BY distance, r.id
    LIMIT :limit
)
SELECT {columns}, {score} AS score FROM nearest ORDER BY distance, id
"""

EXACT_IF_NARROW = """
WITH scope AS MATERIALIZED (
    SELECT array_agg(id) AS ids, count(*) > :narrow AS wide
    FROM (SELECT r.id FROM {row_table} AS r WHERE true{conditions} LIMIT :counted) AS r
), indexed AS MATERIALIZED (
    {ready} AND (SELECT wide FROM scope)
), nearest AS MATERIALIZED (
    SELECT v.{key} AS id, v.embedding {operator} CAST(:vector AS vector) AS distance
    FROM {vector_table} AS v
    WHERE v.{key} = ANY (CAST((SELECT ids FROM scope) AS uuid[])) AND v.embedding_space_id = {space}
        AND NOT (SELECT wide FROM scope)
    ORDER BY distance, id
    LIMIT :limit
)
SELECT {read}, {score} AS score, wide, EXISTS (SELECT 1 FROM indexed) AS indexed
FROM scope LEFT JOIN (nearest JOIN {row_table} AS r USING (id)) ON true
ORDER BY distance, id
"""
"""One row at least, which says of a wide scope whether it has an index; the unit is set to use it well then.

An array, since the index of the vectors is read once from its first id to its last: of a hundredth of all rows that is
half as many pages as looking up one after the other."""

APPROXIMATE = """
WITH candidates AS MATERIALIZED (
    SELECT {read}, {vectors}.embedding AS candidate
    FROM {rows}
    WHERE {vectors}.embedding_space_id = {space}{conditions} AND {searches_widely}
    ORDER BY CAST({vectors}.embedding AS {halfvec}) {operator} CAST(CAST(:vector AS vector) AS {halfvec})
    LIMIT :candidates
), nearest AS (
    SELECT {columns}, candidate {operator} CAST(:vector AS vector) AS distance
    FROM candidates
    ORDER BY distance, id
    LIMIT :limit
)
SELECT {columns}, {score} AS score, (SELECT count(*) FROM candidates) AS met FROM nearest ORDER BY distance, id
"""

CANDIDATES_A_HIT = 4
LEAST_CANDIDATES = 100
"""Half precision and the graph misplace neighbours by a little: so many more are asked, and ranked exactly."""


async def nearest(session: Session, query: VectorQuery) -> Found:
    """Exactly, in one statement; in a wide scope through the index of its space, in two, where it is ready.

    No filter leaves everything, which is wide; behind a filter the first rows are counted. The index knows nothing of
    owners or filters: it is read on until all candidates have passed them, for a while. Where that was not long enough
    the question is far from its scope, or the scope is small, and it is asked again, exactly.
    """
    candidates = max(CANDIDATES_A_HIT * query.limit, LEAST_CANDIDATES)
    if query.mode == "auto" and query.filters:
        found = await _if_narrow(session, query, candidates)
        if not found[0]["wide"]:
            return [row for row in found if row["id"] is not None], True
        through_index = found[0]["indexed"]
        if through_index and session.only_reads:
            # What sets the scan lasts as long as a transaction, and there was none.
            through_index = await is_ready(session, query.source.table, query.space.id, candidates)
    else:
        through_index = query.mode != "exact" and await is_ready(
            session, query.source.table, query.space.id, candidates
        )
    if through_index:
        statement = query.statement(approximate_sql(query), "vector", besides=("met",))
        values = {**query.filters, "vector": query.vector, "limit": query.limit, "candidates": candidates}
        rows = await rows_of(session, statement, values)
        if rows and rows[0]["met"] == candidates:
            return rows, False
    statement = query.statement(exact_sql(query), "vector")
    values = {**query.filters, "vector": query.vector, "limit": query.limit}
    return await rows_of(session, statement, values), True


async def _if_narrow(session: Session, query: VectorQuery, candidates: int) -> Rows:
    values = {
        **query.filters,
        **index_parameters(query.source.table, query.space.id, candidates),
        "vector": query.vector,
        "limit": query.limit,
        "narrow": NARROW,
        "counted": NARROW + 1,
    }
    statement = query.statement(_sql(EXACT_IF_NARROW, query), "vector", besides=("wide", "indexed"))
    return await rows_of(session, statement, values)


def exact_sql(query: VectorQuery) -> str:
    return _sql(EXACT, query)


def approximate_sql(query: VectorQuery) -> str:
    return _sql(APPROXIMATE, query)


def _sql(template: str, query: VectorQuery) -> str:
    space, halfvec = space_literals(query.space)
    source = query.source
    return template.format(
        read=source.read,
        columns=", ".join(source.columns),
        row_table=source.row_table.name,
        vector_table=source.table,
        key=source.key,
        ready=READY,
        searches_widely=SEARCHES_WIDELY,
        rows=source.rows,
        vectors=source.vectors,
        conditions=query.conditions,
        operator=OPERATORS[query.space.metric],
        score=SCORES[query.space.metric],
        space=space,
        halfvec=halfvec,
    )
