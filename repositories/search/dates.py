"""The time that a question names: a day, a month, a year, or one counted from now."""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
MONTHS |= {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name} | {"sept": 9}
WEEKDAYS = {name.lower(): number for number, name in enumerate(calendar.day_name)}
NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "couple": 2, "few": 3}

DAY_SCALE, WEEK_SCALE, MONTH_SCALE, YEAR_SCALE = 5.0, 7.0, 20.0, 120.0
"""Days after which nearness to a named day, week, month or year has fallen to 1/e. That of the day and the month were
measured on LoCoMo (docs/ranking.md); the others lie in proportion."""

LEAP_YEAR = 2024
"""Stands for every year: it has all days."""

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?:,?\s+(?P<year>\d{4}))?"
_COUNT = rf"(?P<count>\d{{1,3}}|{'|'.join(NUMBERS)})(?:\s+of)?"

ISO = re.compile(r"\b(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})\b")
DAY_MONTH = re.compile(rf"\b{_DAY}\s+(?:of\s+)?(?P<month>{_MONTH})\b\.?{_YEAR}")
MONTH_DAY = re.compile(rf"\b(?P<month>{_MONTH})\b\.?\s+{_DAY}\b{_YEAR}")
MONTH_YEAR = re.compile(rf"\b(?P<month>{_MONTH})\b\.?,?\s+(?P<year>\d{{4}})\b")
# "may" and "march" are also words: without a number they need one before them that speaks of time.
MONTH = re.compile(rf"\b(?:in|of|during|since|by|until|last|this|early|late|mid)[\s-]+(?P<month>{_MONTH})\b")
PLAIN_MONTH = re.compile(rf"\b(?P<month>{'|'.join(m for m in sorted(MONTHS) if len(m) > 3 and m != 'march')})\b")
YEAR = re.compile(r"\b(?:in|of|during|since|year)\s+(?P<year>(?:19|20)\d{2})\b")
AGO = re.compile(rf"\b{_COUNT}\s+(?P<unit>day|week|month|year)s?\s+ago\b")
LAST = re.compile(rf"\blast\s+(?P<unit>week|month|year|{'|'.join(WEEKDAYS)})\b")
DAYS = {"today": 0, "yesterday": 1}
DAY_WORD = re.compile(r"\b(?P<word>today|yesterday)\b")
UNITS = {"day": (1, DAY_SCALE), "week": (7, WEEK_SCALE), "month": (30.44, MONTH_SCALE), "year": (365.25, YEAR_SCALE)}


@dataclass(frozen=True, slots=True)
class NamedTime:
    """`at`: the middle of the time that is meant; `days`: how fast nearness to it falls off.

    `yearly`: the year was not named, and every year's is meant.
    """

    at: datetime
    days: float
    yearly: bool = False


def named_time(text: str, now: datetime) -> NamedTime | None:
    """The first that is found, the most definite form before the others; None: the question names no time.

    English words. `now` is what "two weeks ago" is counted from.
    """
    lower = text.lower()
    for pattern in (ISO, DAY_MONTH, MONTH_DAY):
        if found := pattern.search(lower):
            return _date(found["year"], found["month"], int(found["day"]))
    if found := MONTH_YEAR.search(lower) or MONTH.search(lower) or PLAIN_MONTH.search(lower):
        return _date(found.groupdict().get("year"), found["month"], None)
    if found := AGO.search(lower):
        number = NUMBERS.get(found["count"]) or int(found["count"])
        length, scale = UNITS[found["unit"]]
        return _before(now, number * length, scale)
    if found := LAST.search(lower):
        unit = found["unit"]
        if unit in WEEKDAYS:
            return _before(now, (now.weekday() - WEEKDAYS[unit] - 1) % 7 + 1, DAY_SCALE)
        length, scale = UNITS[unit]
        return _before(now, length, scale)
    if found := DAY_WORD.search(lower):
        return _before(now, DAYS[found["word"]], DAY_SCALE)
    if found := YEAR.search(lower):
        return NamedTime(datetime(int(found["year"]), 7, 2, tzinfo=UTC), YEAR_SCALE)
    return None


def _before(now: datetime, days: float, scale: float) -> NamedTime | None:
    """None before the year 1, where there is no time to name."""
    try:
        return NamedTime(now - timedelta(days=days), scale)
    except OverflowError:
        return None


def _date(year: str | None, month: str, day: int | None) -> NamedTime | None:
    number = MONTHS.get(month) or int(month)
    try:
        at = datetime(int(year or LEAP_YEAR), number, day or 15, 12, tzinfo=UTC)
    except ValueError:
        return None
    return NamedTime(at, MONTH_SCALE if day is None else DAY_SCALE, year is None)
