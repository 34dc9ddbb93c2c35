"""What the rows of a text index score by the words that they hold, and the likeliest of them by words and vector.

In numbers: to sort and join as many rows in SQL takes five times as long.
"""

import json
import sqlite3
from typing import Any

import numpy as np

from database.sqlite_held import DEFAULT_MB, held_for
from database.sqlite_interrupted import or_if_interrupted
from database.sqlite_likely import similarities_of
from database.sqlite_signatures import Ids, Space, keys_of
from database.sqlite_vectors import Nearest
from database.sqlite_words import numbers_of

Floats = np.ndarray[Any, np.dtype[np.float64]]

STOPPED = json.dumps({"best": ["", "-"], "scores": {"": 0.0, "-": 0.0}})


def register(connection: sqlite3.Connection, most_mb: int = DEFAULT_MB) -> None:
    """likeliest(texts, vectors, space, vector, metric, similarity, words, count, most, k1, b, asked, besides): JSON.

    Of the rows that hold one of the words that are `asked`, JSON [[word, weight as text], ...], `typical` is the length
    of a text, `best` are the ids of the `count` with the highest sum of weighed similarity and words, of the `most`
    with the highest `scores`. These are told of the best, of the ids in the JSON array `besides`, and of the highest;
    all of them where `count` is less than none.
    """
    held = held_for(connection, most_mb)

    @or_if_interrupted(STOPPED)
    def likeliest(
        texts: str,
        vectors: str,
        space: str,
        vector: bytes,
        metric: str,
        similarity: float,
        words: float,
        count: int,
        most: int,
        k1: float,
        b: float,
        asked: str,
        besides: str,
    ) -> str:
        ids, scores, typical = _scores(connection, texts, json.loads(asked), k1, b)
        best = told = np.arange(ids.size)
        if count >= 0 and ids.size:
            best = np.lexsort((ids, -scores))[:most]
            question = Nearest(vector, metric, count)
            near = similarities_of(connection, held, Space(vectors, space, len(vector) // 4), question, ids[best])
            sums = words * scores[best] / scores[best[0]] + similarity * near
            likely = np.argsort(-sums, kind="stable")[:count]
            # By keys: that of two ids one is the other's too would tell one score more.
            others = np.flatnonzero(np.isin(keys_of(ids, 0), keys_of(np.array(json.loads(besides), "S32"), 0)))
            told = np.union1d(np.append(best[likely], best[0]), others)
            best = best[likely]
        found = dict(zip(ids[told].astype(str).tolist(), scores[told].tolist(), strict=True))
        return json.dumps({"typical": typical, "best": ids[best].astype(str).tolist(), "scores": found})

    connection.create_function("likeliest", 13, likeliest)


def _scores(
    connection: sqlite3.Connection, texts: str, asked: list[tuple[str, str]], k1: float, b: float
) -> tuple[Ids, Floats, float | None]:
    """Of each row that holds a word the id and the sum of its words, in the order of the index; the mean length."""
    sql = f"SELECT group_concat(rowid) FROM {texts}_fts WHERE {texts}_fts MATCH ?"
    lists = [numbers_of(connection.execute(sql, (f'"{word}"',)).fetchone()[0]) for word, _ in asked]
    numbers = np.concatenate([*lists, np.zeros(0, np.int64)])
    weights = np.repeat([float(weight) for _, weight in asked], [each.size for each in lists])
    sql = f"""SELECT group_concat(s.number), group_concat(s.size), group_concat(s.row_id, '')
    FROM json_each(?) AS one CROSS JOIN {texts}_search AS s WHERE s.number = one.value"""
    row = connection.execute(sql, (json.dumps(np.unique(numbers).tolist()),)).fetchone()
    known, sizes = numbers_of(row[0]), numbers_of(row[1])
    if not known.size:
        return np.zeros(0, "S32"), np.zeros(0), None
    places = np.minimum(np.searchsorted(known, numbers), known.size - 1)
    there = known[places] == numbers
    places, weights = places[there], weights[there]
    typical = float(sizes[places].mean())
    values = weights * (k1 + 1) / (1 + k1 * (1 - b + b * sizes[places] / typical))
    scores: Floats = np.bincount(places, values, known.size).astype(np.float64, copy=False)
    return np.frombuffer(row[2].encode(), dtype="S32"), scores, typical
