"""Which rows of a narrow scope hold which words, on SQLite."""

WITHIN = """within AS MATERIALIZED (
    SELECT json_extract(hit.value, '$[0]') AS n, json_extract(hit.value, '$[1]') AS number
    FROM json_each(CASE WHEN {is_narrow} THEN rows_with('{table}', :words, (
            SELECT json_array(sum(s.size), json_group_array(s.number)) FROM {inside}
        )) END) AS hit
)"""
"""`inside`: its rows, `s` of the index among them; none are asked for where the scope is wide.

The index knows nothing of scopes: to ask it for each number whether its row holds a word were a question each.
"""
