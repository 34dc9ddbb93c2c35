"""The time that a question names."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repositories.search.dates import (
    DAY_SCALE,
    MONTH_SCALE,
    WEEK_SCALE,
    YEAR_SCALE,
    named_time,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)  # a Sunday


@pytest.mark.parametrize(
    ("text", "day", "scale"),
    [
        ("What happened on 3 July 2023?", "2023-07-03", DAY_SCALE),
        ("on the 3rd of July, 2023", "2023-07-03", DAY_SCALE),
        ("July 3rd, 2023", "2023-07-03", DAY_SCALE),
        ("since 2023-07-03", "2023-07-03", DAY_SCALE),
        ("in May 2023", "2023-05-15", MONTH_SCALE),
        ("mid-Sept 2022", "2022-09-15", MONTH_SCALE),
        ("in 2021", "2021-07-02", YEAR_SCALE),
        ("yesterday", "2026-11-21", DAY_SCALE),
        ("today", "2026-11-22", DAY_SCALE),
        ("three days ago", "2026-11-19", DAY_SCALE),
        ("two weeks ago", "2026-11-08", WEEK_SCALE),
        ("a month ago", "2026-10-23", MONTH_SCALE),
        ("last week", "2026-11-15", WEEK_SCALE),
        ("last Friday", "2026-11-20", DAY_SCALE),
        ("last Sunday", "2026-11-15", DAY_SCALE),
        ("last year", "2025-11-22", YEAR_SCALE),
    ],
)
def test_a_time_of_one_year(text: str, day: str, scale: float) -> None:
    found = named_time(text, NOW)
    assert found is not None
    assert (found.at.date().isoformat(), found.days, found.yearly) == (day, scale, False)


@pytest.mark.parametrize(
    ("text", "month_and_day", "scale"),
    [
        ("What did she do in May?", (5, 15), MONTH_SCALE),
        ("the September trip", (9, 15), MONTH_SCALE),
        ("in early March", (3, 15), MONTH_SCALE),
        ("on July 3rd", (7, 3), DAY_SCALE),
        ("on 29 February", (2, 29), DAY_SCALE),
    ],
)
def test_a_time_of_every_year(text: str, month_and_day: tuple[int, int], scale: float) -> None:
    found = named_time(text, NOW)
    assert found is not None
    assert ((found.at.month, found.at.day), found.days, found.yearly) == (month_and_day, scale, True)


@pytest.mark.parametrize(
    "text", ["May I ask?", "They march on.", "31 June 2023", "the second of two", "call 2023", "", "decimal"]
)
def test_no_time(text: str) -> None:
    assert named_time(text, NOW) is None


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    named_time(text, NOW)


@pytest.mark.parametrize("text", ["two weeks ago", "last week", "last monday", "yesterday"])
def test_before_the_year_1_there_is_no_time_to_name(text: str) -> None:
    assert named_time(text, datetime(1, 1, 1, 3, tzinfo=UTC)) is None
