"""A database whose commits are real, for the tests of what commits by itself."""

from collections.abc import AsyncIterator

import pytest

from database import Database
from tests.support import Copies, migrated_copy


@pytest.fixture(scope="module")
async def store(copies: Copies) -> AsyncIterator[Database]:
    """One for all tests of a file; each test makes its own conversations."""
    async with migrated_copy(copies) as database:
        yield database
