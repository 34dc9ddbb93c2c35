"""Vectors made elsewhere: found by the file's own ids, or refused in a sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from database.errors import InvalidInputError
from scripts.import_vectors import load_vectors


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_vectors_are_found_by_the_files_own_ids(tmp_path: Path) -> None:
    rows = np.array([[1, 0.5], [0, 2]], dtype=np.float16)
    path = save(tmp_path / "v.npz", message_ids=["a", "b"], message_vectors=rows, other=[1])
    vectors = load_vectors(path)
    assert list(vectors) == ["a", "b"]
    assert vectors["a"].dtype == np.float32
    np.testing.assert_array_equal(vectors["b"], [0, 2])


def test_vectors_of_another_stem(tmp_path: Path) -> None:
    path = save(tmp_path / "v.npz", question_ids=["q"], question_vectors=np.ones((1, 3)))
    assert load_vectors(path, "question")["q"].shape == (3,)


@pytest.mark.parametrize(
    ("ids", "vectors", "field"),
    [
        (["a"], np.ones((2, 3)), "message_vectors"),
        (["a"], np.ones(3), "message_vectors"),
        (["a"], np.ones((1, 0)), "message_vectors"),
        (["a"], np.ones((1, 16_001), dtype=np.float16), "message_vectors"),
        (["a"], np.ones((1, 3), dtype=np.int64), "message_vectors"),
        (["a"], np.zeros((1, 3)), "message_vectors"),
        (["a"], np.array([[1.0, np.nan]]), "message_vectors"),
        (["a"], np.array([[1e300, 1.0]]), "message_vectors"),
        (["a", "a"], np.ones((2, 3)), "message_ids"),
        ([["a"]], np.ones((1, 3)), "message_ids"),
        ([1], np.ones((1, 3)), "message_ids"),
        (np.array(["a"], dtype=object), np.ones((1, 3)), "message_ids"),
    ],
)
def test_vectors_of_a_wrong_shape_are_refused(tmp_path: Path, ids: Any, vectors: Any, field: str) -> None:
    path = save(tmp_path / "v.npz", message_ids=ids, message_vectors=vectors)
    with pytest.raises(InvalidInputError) as caught:
        load_vectors(path)
    assert caught.value.field == field


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "v.npz", message_ids=["a"])
    with pytest.raises(InvalidInputError, match="missing") as caught:
        load_vectors(path)
    assert caught.value.field == "message_vectors"


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    array, text, cut = tmp_path / "a.npy", tmp_path / "t.npz", tmp_path / "c.npz"
    np.save(array, np.ones(3))
    text.write_text("not an archive")
    whole = save(tmp_path / "v.npz", message_ids=["a"], message_vectors=np.ones((1, 3)))
    cut.write_bytes(whole.read_bytes()[:-40])
    for path in (array, text, cut):
        with pytest.raises(InvalidInputError) as caught:
            load_vectors(path)
        assert caught.value.field == "vectors"
