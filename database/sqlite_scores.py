"""What the rows of a text index score by the words that they hold, and the likeliest of them by words and vector.

In numbers: to sort and join as many rows in SQL takes five times as long.
"""

import json
import sqlite3
from typing import Any

import numpy as np

from database.sqlite_held import DEFAULT_MB, Held, held_for
from database.sqlite_interrupted import or_if_interrupted
from database.sqlite_likely import exact_similarities, similarities_of
from database.sqlite_nearest import Scope
from database.sqlite_signatures import Ids, Numbers, Space, keys_of, places_in
from database.sqlite_texts import Texts
from database.sqlite_vectors import Nearest
from database.sqlite_words import numbers_of

Floats = np.ndarray[Any, np.dtype[np.float64]]

STOPPED = json.dumps({"scores": {"": 0.0, "-": 0.0}, "similarities": {"": 0.0, "-": 0.0}})


def register(connection: sqlite3.Connection, most_mb: int = DEFAULT_MB) -> None:
    """likeliest(texts, vectors, space, vector, metric, similarity, words, count, most, k1, b, asked): JSON.

    Of everything the `count` nearest, and as many of the rows that hold one of the words that are `asked`, JSON
    [[word, weight as text], ...]: those with the highest sum of weighed similarity and words, of the `most` with the
    highest score by words. `similarities` of both, null without a vector; `scores` of those that hold a word, and the
    highest of all; `typical` is the length of a text. Where `count` is less than none, all `scores`.
    """
    held = held_for(connection, most_mb)

    @or_if_interrupted(STOPPED)
    def likeliest(
        texts: str,
        vectors: str,
        space_id: str,
        vector: bytes,
        metric: str,
        similarity: float,
        words: float,
        count: int,
        most: int,
        k1: float,
        b: float,
        asked: str,
    ) -> str:
        ids, scores, typical = _scores(connection, held, texts, json.loads(asked), k1, b)
        told = np.arange(ids.size)
        found: dict[str, object] = {"typical": typical}
        if count >= 0:
            space, nearest = Space(vectors, space_id, len(vector) // 4), Nearest(vector, metric, count)
            Scope(connection, held, space, nearest).search()
            near = [id for id, _ in nearest.hits]
            best = told
            if ids.size:
                best = _highest(scores, ids, most) if ids.size > most else told
                similar = similarities_of(connection, held, space, nearest, ids[best])
                highest = scores.max()
                best = best[_highest(words * scores[best] / highest + similarity * similar, ids[best], count)]
                told = np.unique(np.concatenate([best, [scores.argmax()], _places(ids, np.array(near, dtype="S32"))]))
            candidates = [*near, *ids[best].astype(str).tolist()]
            found["similarities"] = exact_similarities(connection, space, nearest, candidates)
        found["scores"] = dict(zip(ids[told].astype(str).tolist(), scores[told].tolist(), strict=True))
        return json.dumps(found)

    connection.create_function("likeliest", 12, likeliest)


def _scores(
    connection: sqlite3.Connection, held: Held | None, table: str, asked: list[tuple[str, str]], k1: float, b: float
) -> tuple[Ids, Floats, float | None]:
    """Of each row that holds a word the id and the sum of its words, in the order of the index; the mean length."""
    sql = f"SELECT group_concat(rowid) FROM {table}_fts WHERE {table}_fts MATCH ?"
    lists = [numbers_of(connection.execute(sql, (f'"{word}"',)).fetchone()[0]) for word, _ in asked]
    numbers = np.concatenate([*lists, np.zeros(0, np.int64)])
    weights = np.repeat([float(weight) for _, weight in asked], [each.size for each in lists])
    known = np.sort(numbers)
    known = known[np.diff(known, prepend=-1) != 0]
    texts = held.texts.of(connection, table, known) if held else Texts.looked_up(connection, table, known)
    if not texts.numbers.size:
        return texts.ids, np.zeros(0), None
    places, there = places_in(texts.numbers, numbers)
    places, weights = places[there], weights[there]
    sizes = texts.sizes[places]
    typical = float(sizes.mean())
    values = weights * (k1 + 1) / (1 + k1 * (1 - b + b * sizes / typical))
    scores: Floats = np.bincount(places, values, texts.numbers.size).astype(np.float64, copy=False)
    return texts.ids, scores, typical


def _places(ids: Ids, of: Ids) -> Numbers:
    """By keys: where that of two ids is one, one more is told."""
    keys = keys_of(np.concatenate([of, ids]), 0)
    # As np.isin, in half its time.
    _, there = places_in(np.sort(keys[: of.size]), keys[of.size :])
    return np.flatnonzero(there)


def _highest(sums: Floats, ids: Ids, count: int) -> Numbers:
    """Where they are, the highest first, ties by id."""
    some = np.flatnonzero(sums >= np.partition(sums, -count)[-count]) if 0 < count < sums.size else np.arange(sums.size)
    order: Numbers = some[np.lexsort((ids[some], -sums[some]))[:count]]
    return order
