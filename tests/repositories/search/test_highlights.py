"""Where the words of a question stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repositories.search.highlights import highlights
from repositories.search.words import asked_words, words_of


@pytest.mark.parametrize(
    ("text", "question", "shown"),
    [
        ("Zebras, and a zebra's stripes.", "zebra", ["Zebras", "zebra"]),
        ("We go CAMPING \N{TENT}camped", "camps", ["CAMPING", "camped"]),
        ("Привет, мир", "привет", ["Привет"]),
        ("us and is", "us", ["us"]),
        ("nothing", "zebra", []),
        ("", "zebra", []),
    ],
)
def test_english_words_in_any_form(text: str, question: str, shown: list[str]) -> None:
    found = highlights(text, asked_words(question), "english")
    assert [text[start:end] for start, end in found] == shown


def test_other_languages_as_they_are_written() -> None:
    assert highlights("zebras zebra", ["zebra"], "simple") == ((7, 12),)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80))
def test_every_word_of_a_text_is_in_it(text: str) -> None:
    found = highlights(text, words_of(text), "simple")
    assert [text[start:end].lower() for start, end in found] == words_of(text)
