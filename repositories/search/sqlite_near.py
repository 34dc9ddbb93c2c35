"""The nearest of a wide scope on SQLite: likely ones by their signatures, then exactly by their vectors.

The likeliest of the whole space are looked up first, and those kept that are in the scope. Where that leaves too few,
the scope is told apart first, and the likeliest are taken of its rows alone: so a filter never brings fewer.
"""

from models import EmbeddingSpace, Metric

LIKELY = 800
LIKELY_A_HIT = 4
"""Rows of a wide scope that are compared exactly; docs/search.md says what fewer would lose."""

LIKELY_IDS = """likeliest AS MATERIALIZED (
    SELECT likely('{table}', :space, :vector, :walked, :sure) AS numbers WHERE {is_wide}
),
walked AS MATERIALIZED (
    SELECT r.id AS id
    FROM likeliest CROSS JOIN json_each(likeliest.numbers) AS hit CROSS JOIN {table}_search AS n CROSS JOIN {rows}
    WHERE n.number = hit.value AND r.id = n.row_id AND {vectors}.embedding_space_id = :space
        AND {conditions}
),
few AS MATERIALIZED (
    SELECT likely_of('{table}', :space, :vector, :likely, :nearest, number) AS numbers
    FROM (
        SELECT n.number AS number
        FROM {rows} JOIN {table}_search AS n ON n.row_id = r.id AND n.embedding_space_id = :space
        WHERE +{vectors}.embedding_space_id = :space AND {conditions}
        LIMIT CASE
            WHEN (SELECT count(*) FROM walked) * :enough < (SELECT json_array_length(numbers) FROM likeliest) THEN -1
            ELSE 0
        END
    )
),
likely_ids AS MATERIALIZED (
    SELECT id FROM walked
    UNION
    SELECT n.row_id FROM few CROSS JOIN json_each(few.numbers) AS hit CROSS JOIN {table}_search AS n
    WHERE n.number = hit.value
)"""


def has_signatures(space: EmbeddingSpace) -> bool:
    """Bits tell directions apart, which is what the cosine compares; by other metrics every vector is."""
    return space.metric is Metric.COSINE


def likely_parameters(nearest: int, filtered: bool) -> dict[str, int]:
    """For the `nearest` of a scope. Behind a filter twice as many are looked up, and half have to be in the scope;
    without, a quarter, since the signatures of some that are gone may be held still."""
    likely = max(LIKELY, LIKELY_A_HIT * nearest)
    if filtered:
        return {"likely": likely, "walked": 2 * likely, "sure": 2 * likely, "nearest": nearest, "enough": 2}
    return {"likely": likely, "walked": likely, "sure": nearest, "nearest": nearest, "enough": 4}
