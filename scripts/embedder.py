"""A small deterministic embedder: the demo and the tests have vectors without a download."""

import asyncio
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Words that stand in nearly every sentence say little about what it is about.
STOP_WORDS = frozenset(
    """a about after all also am an and any are as at be been before but by can could did do does
    for from get go got had has have he her him his how i if in into is it its just me my no not
    now of on or our out s she so some t than that the their them then there they this to up us
    was we were what when where which who why will with would you your""".split()
)
STOP_WEIGHT = 0.1
PAIR_WEIGHT = 0.5
PIECE_WEIGHT = 0.35
PIECE_LENGTHS = (3, 4, 5)


class HashedEmbedder:
    """Hashed words, pairs of words and pieces of words: for demos and tests only.

    It finds shared words (and shared parts of words), not meanings: "allergic" is near "allergy",
    and "automobile" is as far from "car" as any other word is. An application brings a real model.
    The vectors are the same in every process and on every machine.
    """

    def __init__(self, dimensions: int = 384) -> None:
        if dimensions < 1:
            raise ValueError("dimensions must be at least 1")
        self.dimensions = dimensions
        self.name = f"hashed-ngrams-v1-{dimensions}"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give one float32 row of length one a text, in their order: (len(texts), dimensions).

        Every text has a vector, the empty one too. The work is done beside the event loop.
        """
        return await asyncio.to_thread(self._embed, tuple(texts))

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float64)
        for row, text in zip(rows, texts, strict=True):
            for feature, weight in _weights(text).items():
                number = _hash(feature)
                row[(number >> 1) % self.dimensions] += weight if number & 1 else -weight
            if not row.any():  # no word at all, or (hardly ever) features that cancel out exactly
                row[_hash("empty") % self.dimensions] = 1.0
            row /= np.linalg.norm(row)
        return rows.astype(np.float32)


def _weights(text: str) -> dict[str, float]:
    """What a text is made of, a repeated feature counting by the logarithm of its number."""
    counts: Counter[str] = Counter()
    base: dict[str, float] = {}
    for feature, weight in _features(text):
        counts[feature] += 1
        base[feature] = weight
    return {feature: base[feature] * (1.0 + math.log(n)) for feature, n in counts.items()}


def _features(text: str) -> Iterator[tuple[str, float]]:
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    for word in words:
        yield f"word {word}", STOP_WEIGHT if word in STOP_WORDS else 1.0
    telling = [word for word in words if word not in STOP_WORDS]
    for first, second in pairwise(telling):
        yield f"pair {first} {second}", PAIR_WEIGHT
    for word in telling:
        framed = f"<{word}>"
        for length in PIECE_LENGTHS:
            for start in range(len(framed) - length + 1):
                yield f"piece {framed[start : start + length]}", PIECE_WEIGHT


@lru_cache(maxsize=65_536)
def _hash(feature: str) -> int:
    # Python's own hash() differs from process to process.
    digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
