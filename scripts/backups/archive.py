"""The file of a backup: two lines of text, then the data as the database's own tools wrote it.

    persona-store backup 1 SHA-256-OF-THE-SECOND-LINE
    {"database": "sqlite", ..., "data": {"size": ..., "sha256": ...}}

Every byte is held by one of the two hashes or is fixed, so no changed byte and no missing end goes unnoticed; `head -2`
shows what it is. The data alone is behind the second line.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError

from database.errors import ConfigurationError, CorruptionError

MAGIC = b"persona-store backup 1 "
HASH = 64
CHUNK = 1 << 20
LONGEST_MANIFEST = 10 << 20


class TableSum(BaseModel):
    """The number of rows, and a checksum over every value of them."""

    model_config = ConfigDict(frozen=True)

    rows: int
    checksum: str


class Data(BaseModel):
    model_config = ConfigDict(frozen=True)

    size: int
    sha256: str


class Manifest(BaseModel):
    """What a backup holds; the sums are of the same moment as the data."""

    model_config = ConfigDict(frozen=True)

    database: str
    version: str
    made_at: datetime
    revision: str | None
    tables: Mapping[str, TableSum]
    data: Data


def sha256_of(file: IO[bytes]) -> str:
    """Of the rest of the file."""
    found = hashlib.sha256()
    while chunk := file.read(CHUNK):
        found.update(chunk)
    return found.hexdigest()


def describe(data: Path) -> Data:
    with data.open("rb") as file:
        return Data(size=data.stat().st_size, sha256=sha256_of(file))


def write(target: Path, manifest: Manifest, data: Path) -> None:
    """Write the file beside its place and put it there when it is complete and on the disk."""
    line = manifest.model_dump_json().encode()
    with beside(target) as new:
        with new.open("wb") as file, data.open("rb") as source:
            file.write(MAGIC + hashlib.sha256(line).hexdigest().encode() + b"\n" + line + b"\n")
            shutil.copyfileobj(source, file, CHUNK)
        put(new, target)


@contextmanager
def read(source: Path) -> Iterator[tuple[Manifest, IO[bytes]]]:
    """The manifest and the data, from its first byte, after all of it was read and found whole.

    Raises CorruptionError for a file that is not what was written, ConfigurationError for one that cannot be read.
    """
    try:
        file = source.open("rb")
    except OSError as error:
        raise ConfigurationError(f"{source} cannot be read") from error
    with file:
        manifest = _manifest(file, source)
        start = file.tell()
        size = os.fstat(file.fileno()).st_size - start
        if size != manifest.data.size:
            raise CorruptionError(f"{source} is damaged: its data has {size} bytes of {manifest.data.size}")
        if sha256_of(file) != manifest.data.sha256:
            raise CorruptionError(f"{source} is damaged: its data is not what was written")
        file.seek(start)
        yield manifest, file


def _manifest(file: IO[bytes], source: Path) -> Manifest:
    first = file.read(len(MAGIC) + HASH + 1)
    if not first.startswith(MAGIC) or not first.endswith(b"\n"):
        raise CorruptionError(f"{source} is no backup of this program, or its beginning is damaged")
    line = file.readline(LONGEST_MANIFEST)
    if not line.endswith(b"\n") or hashlib.sha256(line[:-1]).hexdigest().encode() != first[len(MAGIC) : -1]:
        raise CorruptionError(f"{source} is damaged: its manifest is not what was written")
    try:
        return Manifest.model_validate_json(line)
    except ValidationError as error:
        raise ConfigurationError(f"{source} was made by another version of this program") from error


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A file of one's own in the folder of `target`, for nobody else to read, and gone at the end unless it was put."""
    try:
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    except OSError as error:
        raise ConfigurationError(f"no file can be made in {target.parent}") from error
    os.close(number)
    try:
        yield Path(name)
    finally:
        for path in (Path(name), *(Path(f"{name}{suffix}") for suffix in ("-wal", "-shm", "-journal"))):
            path.unlink(missing_ok=True)


def put(new: Path, target: Path) -> None:
    """Rename, when the bytes are on the disk; and then the name too."""
    _flush(new)
    new.replace(target)
    with suppress(OSError):  # not every system flushes a folder
        _flush(target.parent)


def _flush(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
