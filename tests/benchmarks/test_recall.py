"""The measuring of recall, on a conversation of its own."""

import json
from math import log2
from pathlib import Path

import numpy as np
import pytest

from benchmarks.conversations import read
from benchmarks.measures import Answer, quality
from benchmarks.recall import HEADLINE, measure


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = ["Where is the zebra?", "Behind the lions.", "Nice weather.", "We bake bread."]
    lines: list[dict[str, object]] = [{"type": "conversation", "id": "talk"}]
    lines += [
        {"type": "message", "id": f"m{n}", "session": 1, "at": "2023-05-15T12:00:00Z", "speaker": "Ada", "text": text}
        for n, text in enumerate(texts)
    ]
    lines += [
        {"type": "qa", "id": "q0", "category": 4, "question": "Who baked?", "evidence": ["m3"]},
        {"type": "qa", "id": "q1", "category": 5, "question": "Any lions?", "evidence": ["m1", "m0"]},
        {"type": "qa", "id": "q2", "category": 1, "question": "Unanswered", "evidence": []},
    ]
    (tmp_path / "talk.jsonl").write_text("\n".join(map(json.dumps, lines)))
    vectors = np.eye(8, dtype=np.float16)
    np.savez(
        tmp_path / "talk.npz",
        message_ids=[f"m{n}" for n in range(4)],
        message_vectors=vectors[:4],
        question_ids=["q0", "q1", "q2"],
        question_vectors=vectors[[3, 1, 2]],
        question_vectors_nameless=vectors[[3, 1, 2]],
    )
    return tmp_path


async def test_it_asks_every_question_with_evidence(folder: Path, empty_url: str) -> None:
    results = await measure("here", empty_url, list(read(folder)))

    assert [result.way for result in results] == ["vector only", "text only", "default"]
    assert [result.numpy_agrees for result in results] == [2, None, None]
    for result in results:
        assert {name: found.questions for name, found in result.categories.items()} == {HEADLINE: 1, "4": 1, "5": 1}
        assert result.categories["4"].recall == [1, 1, 1]
        assert result.categories["4"].mrr == 1
    assert results[2].categories["5"].recall == [1, 1, 1]


def test_measures_of_a_list() -> None:
    answer = Answer(["a", "x", "b", *"yzuvw", "c"], {"a", "b", "c", "d"})

    assert [answer.recall(cut) for cut in (1, 3, 10)] == [0.25, 0.5, 0.75]
    assert answer.reciprocal_rank() == 1
    ideal = 1 + 1 / log2(3) + 1 / 2 + 1 / log2(5)
    assert answer.ndcg() == pytest.approx((1 + 1 / 2 + 1 / log2(10)) / ideal)
    assert Answer(["x"], {"a"}).reciprocal_rank() == 0
    both = quality([answer, Answer(["x"], {"a"})])
    assert (both.questions, both.recall[0], both.mrr) == (2, 0.25, 0.5)
