"""The words of a question, and what of it is embedded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from database.errors import InvalidInputError
from repositories.search.words import MOST_WORDS, asked_words, without_names, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What did Ada SAY of zebras?", ["ada", "say", "zebras"]),
        ("well-known 3.5km v2 a.b/c", ["well", "known", "3", "5km", "v2", "b", "c"]),
        ("ПРИВЕТ café\N{PARTY POPPER}東京", ["привет", "café", "東京"]),
        ("zebra Zebra ZEBRA", ["zebra"]),
        ("to be or not to be", ["to", "be", "or", "not"]),
        ("\"'();-- ***", []),
        ("", []),
    ],
)
def test_a_question_means_its_words_without_those_of_every_sentence(text: str, words: list[str]) -> None:
    assert asked_words(text) == words


@given(st.text(max_size=300))
def test_any_text_is_words_without_anything_between_them(text: str) -> None:
    try:
        words = words_of(text)
    except InvalidInputError as error:
        assert error.field == "text"  # noqa: PT017  # most texts are good ones
        return
    assert all(word and not any(letter.isspace() for letter in word) for word in words)
    assert words_of(" ".join(words)) == words


def test_a_question_of_three_thousand_letters_is_cut_to_its_first_words() -> None:
    assert asked_words(" ".join(f"word{n}" for n in range(500))) == [f"word{n}" for n in range(MOST_WORDS)]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("What is Ada's dog called?", "What is dog called?"),
        ("Did ADA and Bob meet Adam?", "Did and meet Adam?"),
        ("Ada Lovelace\N{RIGHT SINGLE QUOTATION MARK}s notes", "notes"),
        ("nobody", "nobody"),
    ],
)
def test_names_are_cut_from_what_is_embedded(text: str, rest: str) -> None:
    assert without_names(text, ["Ada", "Bob", "Ada Lovelace", ""]) == rest
