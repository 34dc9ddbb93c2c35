"""Cancelled at any moment, in each of the ways in which it is done, with the garbage collector off."""

from pathlib import Path

import pytest

from scripts.torture.cancels import cancel_units

pytestmark = pytest.mark.faults

CANCELS = 45


async def test_nothing_leaks(fresh_url: str, tmp_path: Path) -> None:
    row = await cancel_units(fresh_url, tmp_path, count=CANCELS)
    assert (row.lost, row.doubled, row.torn) == (0, 0, 0)
    assert row.kept, row
    assert row.hit > CANCELS / 5
    assert row.acknowledged >= 2 * CANCELS, "the write after each works"
