"""A folder of conversations with questions: each NAME.jsonl with its vectors in NAME.npz (docs/ranking.md)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models import EmbeddingSpace, new_id
from repositories import UnitOfWork

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """`vector`: of the text; `nameless`: of the text without the participants' names."""

    text: str
    category: int
    evidence: frozenset[UUID]
    vector: Vector
    nameless: Vector


@dataclass(frozen=True, slots=True, eq=False)
class Talk:
    name: str
    messages: Sequence[Mapping[str, Any]]
    vectors: Mapping[UUID, Vector]
    questions: Sequence[Question]


def read(folder: Path) -> Iterator[Talk]:
    for path in sorted(folder.glob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        with np.load(path.with_suffix(".npz")) as arrays:
            vectors = {name: arrays[name].astype(np.float32) for name in arrays.files if "_vectors" in name}
            ids = {str(id): new_id() for id in arrays["message_ids"]}
            asked = {str(id): place for place, id in enumerate(arrays["question_ids"])}
        yield Talk(
            path.stem,
            [_message(line, ids) for line in lines if line["type"] == "message"],
            dict(zip(ids.values(), vectors["message_vectors"], strict=True)),
            [
                Question(
                    line["question"],
                    line["category"],
                    frozenset(ids[id] for id in line["evidence"] if id in ids),
                    vectors["question_vectors"][asked[line["id"]]],
                    vectors["question_vectors_nameless"][asked[line["id"]]],
                )
                for line in lines
                if line["type"] == "qa" and line["evidence"]
            ],
        )


def _message(line: Mapping[str, Any], ids: Mapping[str, UUID]) -> Mapping[str, Any]:
    return {
        "id": ids[line["id"]],
        "role": "user",
        "name": line["speaker"],
        "content": line["text"],
        "sent_at": datetime.fromisoformat(line["at"].replace("Z", "+00:00")),
        "episode": line["session"],
    }


async def store(uow: UnitOfWork, talk: Talk, spaces: Sequence[tuple[EmbeddingSpace, Mapping[UUID, Vector]]]) -> UUID:
    """The conversation with its messages and their vectors in each space; returns its id."""
    row = await uow.conversations.create(title=talk.name)
    await uow.messages.append_many(row.id, talk.messages)
    for space, vectors in spaces:
        await uow.messages.embed_many(vectors.items(), space)
    return row.id
