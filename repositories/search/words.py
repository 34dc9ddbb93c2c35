"""What a question says: its words, without those that stand in every sentence."""

import re

from database.errors import InvalidInputError
from models.values import check_text

NO_WORD = re.compile(
    r"[\s\u0001-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u00A9\u00AB-\u00B1\u00B4\u00B6-\u00B8\u00BB\u00BF\u00D7\u00F7"
    r"\u2000-\u206F\u20A0-\u20CF\u2190-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020\u3030\u30FB\uFE00-\uFE6F"
    r"\uFF01-\uFF0F\uFF1A-\uFF20\uFF3B-\uFF40\uFF5B-\uFF65\U0001F000-\U0001FAFF\U000E0000-\U000E0FFF]+"
)
"""Between words, as the text index has it (its revision in alembic/versions)."""

STOP_WORDS = frozenset(
    """a about above after again all also am an and any are as at be because been before being but by can could d did do
    does doing don down during each ever few for from further had has have having he her here hers him his how i if in
    into is it its itself just ll m me more most my myself no nor not now of off on once only or other our ours out over
    own re s same she should so some such t than that the their theirs them then there these they this those through to
    too under until up us ve very was we were what when where which while who whom whose why will with would you your
    yours""".split()
)
"""Of English, with what is left of its contractions. The index keeps them, so that they can be asked for alone."""

FIRST_PERSON = ("i", "my", "me", "we", "us", "our")
"""A message with one of these speaks of its speaker."""

MOST_WORDS = 64
"""Of one question: more say nothing more about what is meant, and each costs a look into the index."""


def words_of(text: str) -> list[str]:
    """Every word in order, in lower case; raises InvalidInputError for what no text column takes."""
    try:
        return [word for word in NO_WORD.split(check_text(text).lower()) if word]
    except ValueError as error:
        raise InvalidInputError("text", str(error)) from None


def asked_words(text: str) -> list[str]:
    """Each word once, at most 64; stop words only where there is nothing else."""
    words = list(dict.fromkeys(words_of(text)))
    return ([word for word in words if word not in STOP_WORDS] or words)[:MOST_WORDS]


def without_names(text: str, names: list[str]) -> str:
    """The question as it is best embedded: a name is near everything that its bearer said, whatever it is about."""
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?:['\u2019]s)?(?!\w)", " ", text, flags=re.IGNORECASE)
    return " ".join(text.split())
