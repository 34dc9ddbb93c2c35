"""Search on PostgreSQL: exact by `vector`, or through a space's index by `halfvec` and then ranked exactly.

The two never meet in a plan: an index over half precision cannot answer a question in single precision, so an exact
search is exact whatever the planner chooses.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from models import Metric
from repositories.search.contract import Found, VectorQuery
from repositories.search.literals import space_literals
from repositories.search.postgres_index import OPERATORS, build_indexes, drop_indexes, indexes, is_ready
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

APPROXIMATE = """
WITH candidates AS MATERIALIZED (
    SELECT {read}, {vectors}.embedding AS candidate
    FROM {rows}
    WHERE {vectors}.embedding_space_id = {space}{conditions}
    ORDER BY CAST({vectors}.embedding AS {halfvec}) {operator} CAST(CAST(:vector AS vector) AS {halfvec})
    LIMIT :candidates
), nearest AS (
    SELECT {columns}, candidate {operator} CAST(:vector AS vector) AS distance
    FROM candidates
    ORDER BY distance, id
    LIMIT :limit
)
SELECT {columns}, {score} AS score FROM nearest ORDER BY distance, id
"""

CANDIDATES_A_HIT = 4
LEAST_CANDIDATES = 100
"""Half precision and the graph misplace neighbours by a little: so many more are asked, and ranked exactly."""


async def nearest(connection: AsyncConnection, query: VectorQuery) -> Found:
    """Through the index where it is ready and the scope is wide: no filter at all, or `mode="approximate"`.

    The index of a space knows nothing of owners or filters, and gives up before it has found enough of a narrow
    scope: what comes short is asked for again, exactly.
    """
    wide = query.mode == "approximate" or (query.mode == "auto" and not query.filters)
    candidates = max(CANDIDATES_A_HIT * query.limit, LEAST_CANDIDATES)
    if wide and await is_ready(connection, query.source.table, query.space.id, candidates):
        statement = query.statement(approximate_sql(query), "vector")
        values = {**query.filters, "vector": query.vector, "limit": query.limit, "candidates": candidates}
        rows = (await connection.execute(statement, values)).mappings().all()
        if len(rows) == query.limit:
            return rows, False
    statement = query.statement(exact_sql(query), "vector")
    values = {**query.filters, "vector": query.vector, "limit": query.limit}
    return (await connection.execute(statement, values)).mappings(), True


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
        rows=source.rows,
        vectors=source.vectors,
        conditions=query.conditions,
        operator=OPERATORS[query.space.metric],
        score=SCORES[query.space.metric],
        space=space,
        halfvec=halfvec,
    )
