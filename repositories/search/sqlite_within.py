"""Which rows of a narrow scope hold which words, on SQLite: by the lists of the words, or by the texts themselves.

The index knows nothing of scopes. It tells slowly whether a given row holds a word, and quickly all rows that do: so a
word's list is read whole, and those of the scope are kept. Where it is longer than it takes to index the scope's texts
anew, this is done, once for all such words.
"""

LISTED = 8
"""Characters that are indexed in the time in which one row of a list is read, or less."""

LEAST_LISTED = 3_000
"""Rows of a list that are read however few texts there are: to make an index takes as long by itself."""

WITHIN = f"""longest AS MATERIALIZED (
    SELECT max({LEAST_LISTED}, sum(size) / {LISTED}) AS list FROM inside
),
listed AS MATERIALIZED (
    SELECT n, word, (SELECT list FROM longest) < (
        SELECT count(*) FROM (
            SELECT 1 FROM {{table}}_fts AS f
            WHERE {{table}}_fts MATCH '"' || w.word || '"'
            LIMIT (SELECT list FROM longest) + 1
        )
    ) AS is_long
    FROM words AS w
    WHERE EXISTS (SELECT 1 FROM inside)
),
within AS MATERIALIZED (
    -- The plus: else each row of the scope would be a question of its own.
    SELECT w.n, f.rowid AS number
    FROM listed AS w CROSS JOIN {{table}}_fts AS f
    WHERE NOT w.is_long AND {{table}}_fts MATCH '"' || w.word || '"' AND +f.rowid IN (SELECT number FROM inside)
    UNION ALL
    SELECT CAST(json_extract(hit.value, '$[1]') AS INTEGER), CAST(json_extract(hit.value, '$[0]') AS INTEGER)
    FROM json_each(CASE WHEN EXISTS (SELECT 1 FROM listed WHERE is_long) THEN texts_with(
            '{{table}}_fts',
            (SELECT json_group_object(number, substr(r.content, 1, 250000))
                FROM inside AS i CROSS JOIN {{table}} AS r WHERE r.id = i.id),
            (SELECT json_group_object(n, word) FROM listed WHERE is_long)
        ) END) AS hit
)"""
"""Of the rows `inside`, each with its `number`, `id` and `size`: none where the scope is wide."""
