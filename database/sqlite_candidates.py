"""Which vectors of those that are held may be the nearest: the likeliest by bits, and by their codes for certain.

A question is asked by the sign of each of its numbers first. Where that tells little, as far from everything, its
numbers are taken more exactly: each further plane of bits halves the step between the sizes that are told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from database.sqlite_signatures import Bits, Ids, Numbers, Signatures, Vector, packed

MARGIN = 2
"""How many more bits may differ than of the last one looked for, in roots of the dimensions: bits differ by chance, and
the standard deviation of a sum of so many is half a root."""

POOL_BITS = 2_400_000
"""Of the signatures whose codes are looked at: 6,250 vectors of 384 dimensions, 1,560 of 1,536."""

FAR, FAR_POOL = 0.36, 2
"""Where even the nearest differ in more than this part of the bits (a cosine of about .4; half differ by chance), signs
alone tell little; and so many times as many codes are looked at: 12,500 of 384 dimensions."""

STEP = 0.586
"""Between the four sizes that a number has then, in standard deviations: the best for a normal distribution."""

Counts = np.ndarray[Any, np.dtype[np.uint32]]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Ids of rows, those first that may be the nearest, and the cosine that each has at most."""

    ids: Ids
    bounds: Vector


def candidates(
    parts: Sequence[Signatures],
    query: Vector,
    places: Sequence[Numbers | None],
    sure: int | None = None,
    most: int = 0,
) -> Candidates:
    """The likeliest of the `places` in each part (None: all of it), by `query`, which has length one.

    Those whose signature differs not much more than that of the `sure` nearest by it, and about `most` at the most;
    without `sure` all of them.
    """
    if sure is not None:
        places = _by_signature(parts, query, places, sure, most)
    found = list(zip(parts, places, strict=True))
    if not found:
        return Candidates(np.zeros(0, "S32"), np.zeros(0, np.float32))
    bounds = np.concatenate([part.at_most(query, where) for part, where in found])
    ids = np.concatenate([part.ids if where is None else part.ids[where] for part, where in found])
    order = np.argsort(-bounds)
    return Candidates(ids[order], bounds[order])


def _by_signature(
    parts: Sequence[Signatures], query: Vector, places: Sequence[Numbers | None], sure: int, most: int
) -> Sequence[Numbers]:
    among = list(zip(parts, places, strict=True))

    def differing(plane: Bits) -> Counts:
        return np.concatenate([part.differing(plane, where) for part, where in among]).astype(np.uint32)

    above = query >= 0
    counts = differing(packed(above[None, :])[:, 0])
    last = _in_order(counts, sure)
    limit = last + int(MARGIN * sqrt(query.size))
    is_far = last > FAR * query.size
    if is_far:
        # A number is its sign times 2 + a + b / 2 steps, where a and b are 1 or -1: three sums over a vector's signs.
        sizes = np.minimum(np.abs(query) * (sqrt(query.size) / STEP), 3).astype(np.uint8)
        for plane in (sizes >= 2, sizes % 2 == 1):
            counts = 2 * counts + differing(packed((above == plane)[None, :])[:, 0])
        last, most = _in_order(counts, sure), FAR_POOL * most
    if is_far or np.count_nonzero(counts <= limit) > most:
        limit = max(last, _in_order(counts, most) - 1)
    ends = np.cumsum([part.numbers.size if where is None else where.size for part, where in among])
    found = [np.flatnonzero(each <= limit) for each in np.split(counts, ends[:-1])]
    return [some if where is None else where[some] for some, where in zip(found, places, strict=True)]


def _in_order(counts: Counts, place: int) -> int:
    """The one at this place, from 1; of fewer the largest."""
    place = min(place, counts.size) - 1
    return int(np.partition(counts, place)[place]) if counts.size else 0
