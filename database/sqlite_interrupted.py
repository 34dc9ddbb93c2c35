"""What an SQL function answers whose own questions were interrupted: SQLite then ends the statement around it itself.

An error of the function would be told as that function's failure, and the statement as refused instead of stopped.
"""

import sqlite3
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

P = ParamSpec("P")


def or_if_interrupted(stopped: str) -> Callable[[Callable[P, str]], Callable[P, str]]:
    """`stopped` is JSON of two items: going from one to the other SQLite meets the interruption."""

    def decorate(answer: Callable[P, str]) -> Callable[P, str]:
        @wraps(answer)
        def answer_or_stopped(*args: P.args, **kwargs: P.kwargs) -> str:
            try:
                return answer(*args, **kwargs)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                    return stopped
                raise

        return answer_or_stopped

    return decorate
