"""The `--vectors FILE.npz` of the import: vectors made elsewhere, found by the file's own ids."""

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from database.errors import InvalidInputError
from models.values import MAX_DIMENSIONS


def load_vectors(path: Path, stem: str = "message") -> dict[str, NDArray[np.float32]]:
    """Read the arrays `{stem}_ids` and `{stem}_vectors`: external id -> float32 row.

    The rows keep the file's order and share one array. Raises InvalidInputError naming the array
    for a wrong kind or shape, a repeated id, a value that is not finite or a row of zeros, and
    InvalidInputError("vectors") for a file that is no .npz. Nothing in the file is ever executed.
    """
    ids_name, vectors_name = f"{stem}_ids", f"{stem}_vectors"
    ids, vectors = _read(path, ids_name, vectors_name)
    if ids.ndim != 1 or ids.dtype.kind != "U":
        raise InvalidInputError(ids_name, "must be one row of strings")
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise InvalidInputError(vectors_name, "must be rows and columns of floats")
    if len(ids) != len(vectors):
        reason = f"has {len(vectors)} rows for {len(ids)} ids in {ids_name}"
        raise InvalidInputError(vectors_name, reason)
    if not 1 <= vectors.shape[1] <= MAX_DIMENSIONS:
        raise InvalidInputError(vectors_name, f"must have 1 to {MAX_DIMENSIONS} columns")
    with np.errstate(over="ignore"):  # a float64 too large becomes infinite, and is refused below
        rows = vectors.astype(np.float32)
    if not np.isfinite(rows).all():
        raise InvalidInputError(vectors_name, "has values that are not finite in float32")
    if not rows.any(axis=1).all():
        raise InvalidInputError(vectors_name, "has a row of zeros, which has no direction")
    table = dict(zip(ids.tolist(), rows, strict=True))
    if len(table) != len(ids):
        raise InvalidInputError(ids_name, "has an id more than once")
    return table


def _read(path: Path, *names: str) -> list[NDArray[np.generic]]:
    try:
        with path.open("rb") as file:  # numpy leaves a file open that it cannot read
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, NpzFile):
                raise InvalidInputError("vectors", "the file is not a .npz of named arrays")
            with archive:
                return [_array(archive, name) for name in names]
    except InvalidInputError:  # a ValueError itself, and already says what is wrong
        raise
    except (BadZipFile, zlib.error, ValueError, EOFError) as error:
        raise InvalidInputError("vectors", "the file is not a readable .npz") from error


def _array(archive: NpzFile, name: str) -> NDArray[np.generic]:
    if name not in archive.files:
        raise InvalidInputError(name, "the array is missing from the file")
    try:
        return np.asarray(archive[name])
    except ValueError as error:  # an object array: it would need pickle
        raise InvalidInputError(name, "holds Python objects instead of plain values") from error
