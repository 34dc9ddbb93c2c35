"""The import's vectors: each message is remembered, and recalled exactly as numpy finds it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import pytest
from numpy.typing import NDArray

from database import Database
from models import MemoryType, SpaceStatus
from repositories import UnitOfWork
from scripts.import_records import conversation_uuid, message_uuid
from tests.scripts.conftest import Command

WIDTH = 24
TIE = 1e-6
"""Scores nearer than this are equal for float32 vectors: their order is the database's."""


def random_vectors(count: int, seed: int, width: int = WIDTH) -> NDArray[np.float16]:
    rows = np.random.default_rng(seed).standard_normal((count, width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16)


def write(
    folder: Path, talks: Mapping[str, Sequence[str]], vectors: NDArray[np.floating], stem: str = "talks"
) -> tuple[Path, Path]:
    """A file of conversations with these messages' ids, and its archive."""
    file, archive = folder / f"{stem}.jsonl", folder / f"{stem}.npz"
    lines: list[dict[str, object]] = []
    for talk, ids in talks.items():
        lines.append({"type": "conversation", "id": talk})
        for number, id in enumerate(ids):
            at = f"2026-03-01T10:{number % 60:02}:00Z"
            lines.append({"type": "message", "id": id, "name": "Ada", "content": f"about {id}", "sent_at": at})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.savez(archive, message_ids=np.array([id for ids in talks.values() for id in ids]), message_vectors=vectors)
    return file, archive


async def test_recall_returns_what_an_exact_computation_returns(
    fresh_url: str, fresh_database: Database, command: Command, tmp_path: Path
) -> None:
    talks = {name: [f"{name}:{number}" for number in range(150)] for name in ("first", "second")}
    vectors = random_vectors(300, seed=7)
    vectors[20] = vectors[10]  # two that are equal
    questions = random_vectors(12, seed=8).astype(np.float32)
    questions[0] = vectors[10]
    file, archive = write(tmp_path, talks, vectors)

    ran = await command("import", file, "--vectors", archive, "--space", "mini", "--database-url", fresh_url, "--json")

    assert ran.code == 0
    told = ran.data["files"][0]
    assert [told[name] for name in ("new", "messages", "memories", "message_vectors", "memory_vectors")] == [
        2, 300, 300, 300, 300,
    ]  # fmt: skip
    async with UnitOfWork(fresh_database) as uow:
        space = await uow.embedding_spaces.get_by_name("mini")
        assert (space.dimensions, space.status) == (WIDTH, SpaceStatus.ACTIVE)
        for half, (name, ids) in enumerate(talks.items()):
            talk = conversation_uuid(name)
            rows = vectors[half * 150 : half * 150 + 150].astype(np.float64)
            messages = [message_uuid(talk, id) for id in ids]
            for question in questions:
                scores = _cosines(rows, question)
                for limit in (10, 150):
                    hits = await uow.memories.recall(question, space=space, conversation_id=talk, limit=limit)
                    assert hits.exact
                    _same(scores, messages, [(hit.first_message_id, hit.score) for hit in hits], limit)


async def test_each_message_is_an_episodic_memory_with_its_vector(
    fresh_url: str, fresh_database: Database, command: Command, tmp_path: Path
) -> None:
    vectors = random_vectors(3, seed=1)
    file, archive = write(tmp_path, {"chat": ["1", "2", "3"]}, vectors)

    await command("import", file, "--vectors", archive, "--owner", "ada", "--database-url", fresh_url)

    talk = conversation_uuid("chat", "ada")
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        messages = await uow.messages.history(talk)
        memories = {record.first_message_id: record async for record in uow.memories.stream(conversation_id=talk)}
        for message in messages:
            memory = memories[message.id]
            assert memory.id == uuid5(message.id, "memory")
            assert (memory.content, memory.memory_type) == (f"Ada: {message.content}", MemoryType.EPISODIC)
            assert (memory.occurred_at, memory.owner_id) == (message.sent_at, "ada")
        for kind, table in (("message_id", "message_embeddings"), ("memory_id", "memory_embeddings")):
            rows = await uow.fetch_all(
                f"SELECT {kind} AS id, embedding FROM {table}", columns={"id": UUID, "embedding": np.ndarray}
            )
            stored = {row["id"]: np.asarray(row["embedding"]) for row in rows}
            ids = [message.id if kind == "message_id" else memories[message.id].id for message in messages]
            assert len(stored) == 3
            for id, vector in zip(ids, vectors, strict=True):
                assert np.array_equal(stored[id], vector.astype(np.float32))


async def test_vectors_may_come_later_and_the_same_ids_in_two_files(
    fresh_url: str, command: Command, tmp_path: Path
) -> None:
    one = write(tmp_path, {"first": ["1", "2"]}, random_vectors(2, seed=1), "one")
    two = write(tmp_path, {"second": ["1", "2", "3"]}, random_vectors(3, seed=2), "two")
    url = ("--database-url", fresh_url, "--json")
    await command("import", one[0], *url)

    ran = await command("import", one[0], two[0], "--vectors", one[1], "--vectors", two[1], *url)
    again = await command("import", one[0], two[0], "--vectors", one[1], "--vectors", two[1], *url)

    names = ("new", "extended", "unchanged", "messages", "memories", "message_vectors", "memory_vectors")
    assert [[told[name] for name in names] for told in ran.data["files"]] == [
        [0, 1, 0, 0, 2, 2, 2],
        [1, 0, 0, 3, 3, 3, 3],
    ]
    assert [[told[name] for name in names] for told in again.data["files"]] == [[0, 0, 1, 0, 0, 0, 0]] * 2


async def test_a_second_space_gets_vectors_and_no_second_memories(
    fresh_url: str, fresh_database: Database, command: Command, tmp_path: Path
) -> None:
    small = write(tmp_path, {"chat": ["1", "2"]}, random_vectors(2, seed=1))
    wide = write(tmp_path, {"chat": ["1", "2"]}, random_vectors(2, seed=1, width=40), "wide")
    url = ("--database-url", fresh_url, "--json")

    await command("import", small[0], "--vectors", small[1], *url)
    ran = await command("import", wide[0], "--vectors", wide[1], *url)

    told = ran.data["files"][0]
    assert (told["memories"], told["message_vectors"], told["memory_vectors"]) == (0, 2, 2)
    async with UnitOfWork(fresh_database) as uow:
        assert {space.name: space.status for space in await uow.embedding_spaces.page()} == {
            "imported-24": SpaceStatus.ACTIVE,
            "imported-40": SpaceStatus.BUILDING,
        }


async def test_a_message_without_a_vector_keeps_its_conversation_out(
    fresh_url: str, fresh_database: Database, command: Command, tmp_path: Path
) -> None:
    # Ids are unique in a conversation only: the second one finds its vector taken.
    file, _ = write(tmp_path, {"first": ["1"], "second": ["2", "1"]}, random_vectors(3, seed=1))
    _, archive = write(tmp_path, {"first": ["1"], "second": ["2", "unused"]}, random_vectors(3, seed=1), "other")

    ran = await command("import", file, "--vectors", archive, "--database-url", fresh_url)

    assert ran.code == 1
    assert "have no row left for a message of the conversation at line 3" in ran.err
    async with UnitOfWork(fresh_database) as uow:
        assert [row.title for row in await uow.conversations.page()] == ["first"]


async def test_vectors_of_another_width_are_refused_before_anything_is_stored(
    fresh_url: str, fresh_database: Database, command: Command, tmp_path: Path
) -> None:
    small = write(tmp_path, {"first": ["1"]}, random_vectors(1, seed=1))
    wide = write(tmp_path, {"second": ["1"]}, random_vectors(1, seed=1, width=40), "wide")
    url = ("--database-url", fresh_url)
    await command("import", small[0], "--vectors", small[1], "--space", "mini", *url)

    ran = await command("import", wide[0], "--vectors", wide[1], "--space", "mini", *url)

    assert ran.code == 1
    assert "vectors: has 40 dimensions, its space has 24" in ran.err
    async with UnitOfWork(fresh_database) as uow:
        assert await uow.conversations.count() == 1


async def test_vectors_of_no_message_are_told(fresh_url: str, command: Command, tmp_path: Path) -> None:
    file, _ = write(tmp_path, {"chat": ["1"]}, random_vectors(1, seed=1))
    _, archive = write(tmp_path, {"chat": ["1", "2"]}, random_vectors(2, seed=1), "more")

    ran = await command("import", file, "--vectors", archive, "--database-url", fresh_url, "--json")

    assert (ran.code, ran.data["files"][0]["unused_vectors"]) == (0, 1)
    assert "vectors of no message in it: 1" in ran.err


def _cosines(rows: NDArray[np.float64], question: NDArray[np.float32]) -> NDArray[np.float64]:
    query = question.astype(np.float64)
    scores: NDArray[np.float64] = rows @ query / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
    return scores


def _same(
    scores: NDArray[np.float64], ids: Sequence[UUID], hits: Sequence[tuple[UUID | None, float]], limit: int
) -> None:
    """The hits are the best of `scores`, in their order; where two scores tie, either may stand."""
    best = np.argsort(-scores, kind="stable")[:limit]
    assert len({id for id, _ in hits}) == len(hits) == len(best)
    for (id, score), place in zip(hits, best, strict=True):
        assert score == pytest.approx(scores[place], abs=TIE)
        assert id is not None
        assert abs(scores[ids.index(id)] - scores[place]) < TIE
