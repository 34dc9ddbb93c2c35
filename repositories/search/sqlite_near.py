"""The nearest of a scope on SQLite, by the function `nearest_in`: how it is asked."""

import re
from collections.abc import Sequence
from functools import lru_cache

LIKELY = 800
"""Rows beyond which what a process holds of the vectors is asked, where a caller wants an approximate answer."""


@lru_cache(maxsize=1_000)
def nearest_in(table: str, count: str, narrow: str, conditions: str) -> tuple[str, str]:
    """The call, and the value of its parameter `scope`: the conditions, each parameter of theirs an argument more."""
    names: Sequence[str] = re.findall(r"(?<!:):(\w+)", conditions)
    values = "".join(f", :{name}" for name in names)
    call = f"nearest_in('{table}', :space, :vector, :metric, {count}, {narrow}, :scope{values})"
    return call, re.sub(r"(?<!:):\w+", "?", conditions)
