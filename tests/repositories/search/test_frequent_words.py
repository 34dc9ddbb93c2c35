"""A word that very many rows hold counts only where no other is asked for, and whoever wants all of them gets them."""

from collections.abc import Sequence
from typing import Any

import pytest

from models import Conversation
from repositories import UnitOfWork
from repositories.search import hybrid

TEXTS = ["good zebra", "good day", "good lions, good", "good morning", "fine zebra", "fine weather"]


@pytest.fixture(autouse=True)
def three_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hybrid, "MOST_MATCHES", 3)
    monkeypatch.setattr(hybrid, "MOST_ALONE", 3)


@pytest.fixture
async def talk(uow: UnitOfWork) -> Conversation:
    talk = await uow.conversations.create(title="zoo")
    names = ["Bob", "Ada"]
    lines = [{"role": "user", "content": text, "name": names[n % 2]} for n, text in enumerate(TEXTS)]
    await uow.messages.append_many(talk.id, lines)
    await uow.memories.remember_many({"content": text} for text in TEXTS)
    return talk


def texts(found: Any) -> Sequence[str]:
    return sorted(getattr(hit, "message", hit).content for hit in found)


async def test_a_frequent_word_beside_a_rarer_one_says_nothing(uow: UnitOfWork, talk: Conversation) -> None:
    told = await uow.messages.search("good zebra")
    assert texts(told) == ["fine zebra", "good zebra"]
    assert not told.exact
    remembered = await uow.memories.recall(text="good zebra")
    assert texts(remembered) == texts(told)
    assert not remembered.exact


async def test_all_of_them_are_compared_where_that_is_asked_for(uow: UnitOfWork, talk: Conversation) -> None:
    told = await uow.messages.search("good zebra", mode="exact")
    assert texts(told) == sorted(TEXTS[:5])
    remembered = await uow.memories.recall(text="good zebra", mode="exact")
    assert texts(remembered) == sorted(TEXTS[:5])
    assert told.exact
    assert remembered.exact


async def test_a_frequent_word_alone_is_found(uow: UnitOfWork, talk: Conversation) -> None:
    for found in (await uow.messages.search("good"), await uow.memories.recall(text="good")):
        assert len(found) == 4
        assert not found.exact


async def test_a_name_is_no_word_that_tells_more(uow: UnitOfWork, talk: Conversation) -> None:
    """Else nothing would be left of a question whose one rare word is a participant's name."""
    for content in ("fine", "fine", "fine", "Ada was fine"):
        await uow.messages.append(talk.id, role="user", name="Ada", content=content)
    found = await uow.messages.search("Is Ada fine?")
    # Which of the rows with a frequent word are met is the database's to choose: most of these are Ada's.
    assert len(found) > 1
    assert not found.exact


async def test_each_candidate_is_asked_for_a_word_that_too_many_hold(uow: UnitOfWork) -> None:
    """Which of its rows are met is chance; what is near is found by its vector, and its words count all the same."""
    space = await uow.embedding_spaces.create(name="two", dimensions=2)
    talk = await uow.conversations.create(title="zoo")
    lines = [("good" if number % 3 else "fine", [1, number]) for number in range(12)]
    for text, vector in lines:
        await uow.messages.append(talk.id, role="user", content=f"{text} day", vector=vector, space=space)
        await uow.memories.remember(f"{text} day", vector=vector, space=space)
    for search in (uow.messages.search, uow.memories.recall):
        asked = {"text": "good", "vector": [0, 1], "space": space}
        whole = await search(**asked, mode="exact")  # type: ignore[arg-type]  # the arguments that both have
        wide = await search(**asked, mode="approximate")  # type: ignore[arg-type]  # likewise
        assert (whole.exact, wide.exact) == (True, False)
        assert [hit.score for hit in wide] == pytest.approx([hit.score for hit in whole])
