"""The demo's embedder: the same vectors everywhere, and good enough for the demo's own questions."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts.embedder import HashedEmbedder
from scripts.import_format import ConversationReader
from scripts.sample import CONVERSATIONS, load_sample

ROOT = Path(__file__).parents[2]

# The four largest values of one text.
PINNED = {0: 0.3240593, 50: 0.3240593, 383: -0.3240593, 10: 0.2268415}


async def test_the_rows_are_float32_of_length_one_in_the_order_of_the_texts() -> None:
    texts = ["a tap that drips", "", "   ", "?!", "the", "é\ud800", "水を止める", "tap " * 5_000]
    rows = await HashedEmbedder().embed(texts)
    assert rows.shape == (len(texts), 384)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)
    for text, row in zip(texts, rows, strict=True):
        np.testing.assert_array_equal((await HashedEmbedder().embed([text]))[0], row)


async def test_no_texts_give_no_rows() -> None:
    assert (await HashedEmbedder(256).embed([])).shape == (0, 256)


def test_the_name_tells_the_width_and_a_width_of_nothing_is_refused() -> None:
    assert HashedEmbedder(256).name == "hashed-ngrams-v1-256"
    with pytest.raises(ValueError, match="dimensions"):
        HashedEmbedder(0)


async def test_the_values_are_pinned() -> None:
    """Another value means another embedder: give it another name, stored vectors need it."""
    (row,) = await HashedEmbedder().embed(["Jonas is allergic to peanuts."])
    largest = np.argsort(-np.abs(row), kind="stable")[:4]
    assert PINNED.keys() == {int(index) for index in largest}
    for index, value in PINNED.items():
        assert row[index] == pytest.approx(value, abs=1e-6)


def test_every_process_gives_the_same_vector() -> None:
    code = (
        "import asyncio; from scripts.embedder import HashedEmbedder;"
        "print(asyncio.run(HashedEmbedder().embed(['Two sockets and a jetty']))[0].tobytes().hex())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert len(printed.pop().strip()) == 384 * 4 * 2


async def test_shared_words_and_shared_parts_of_words_bring_texts_together() -> None:
    query, same, inflected, other, stop_words = await HashedEmbedder().embed(
        [
            "the tap is dripping",
            "my tap keeps dripping at night",
            "it dripped from both taps",
            "the wedding is in June",
            "the is of and with a to",
        ]
    )
    assert query @ same > query @ inflected > query @ other
    assert query @ inflected > query @ stop_words


async def test_the_demo_finds_what_it_asks_for() -> None:
    with CONVERSATIONS.open("rb") as lines:
        memories = [
            (conversation.source_id, memory.source_id, memory.content)
            for conversation in ConversationReader(lines)
            for memory in conversation.memories
        ]
    questions = load_sample().questions
    embedder = HashedEmbedder()
    contents = await embedder.embed([content for _, _, content in memories])
    asked = await embedder.embed([question.question for question in questions])
    assert questions
    for question, vector in zip(questions, asked, strict=True):
        scores = contents @ vector
        first, second = np.argsort(-scores)[:2]
        assert memories[first][:2] == (question.conversation, question.expected_memory)
        assert scores[first] > scores[second] + 0.1
