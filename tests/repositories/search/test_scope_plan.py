"""Which rows a search is about is read from an index alone on SQLite: a table's rows lie scattered over the file."""

import pytest

from database import Database
from database.sqlite_nearest import ROWS
from repositories.search.sources import MEMORIES
from tests.support import on_sqlite


@on_sqlite
@pytest.mark.parametrize("filters", [("owner_id",), ("persona_id",), ("owner_id", "persona_id")], ids=", ".join)
async def test_the_scope_of_a_search_is_read_from_an_index_alone(database: Database, filters: tuple[str, ...]) -> None:
    conditions = " AND ".join(MEMORIES.filters[name][0] for name in filters)
    sql = f"EXPLAIN QUERY PLAN SELECT group_concat(r.id, '') FROM {ROWS['memory_embeddings']} WHERE {conditions}"
    [step] = await database.fetch_all(sql, dict.fromkeys(filters, "x"))
    assert "USING COVERING INDEX" in str(step["detail"])
