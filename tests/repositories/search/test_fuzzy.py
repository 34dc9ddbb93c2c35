"""Fuzzy search: names, titles and messages are found in spite of typos, with the same numbers on both databases."""

from collections.abc import AsyncIterator, Sequence

import pytest

from database import Database
from database.errors import ConfigurationError, InvalidInputError
from models import Persona
from repositories import Similar, UnitOfWork, build_fuzzy_index
from tests.support import Copies


@pytest.fixture(scope="module")
async def indexed(copies: Copies) -> AsyncIterator[Database]:
    """A database with the index, for all tests that undo what they do."""
    url = await copies.migrated()
    async with Database(url) as database:
        await build_fuzzy_index(database)
        yield database
    await copies.drop(url)


@pytest.fixture
async def fuzzy(indexed: Database) -> AsyncIterator[UnitOfWork]:
    async with indexed.sandbox(), UnitOfWork(indexed) as uow:
        yield uow


async def contents(uow: UnitOfWork, text: str, **scope: object) -> list[tuple[str, float]]:
    found = await uow.messages.similar(text, **scope)  # type: ignore[arg-type]  # the filters are ids
    return [(hit.row.content, round(hit.similarity, 3)) for hit in found]


async def say(uow: UnitOfWork, *texts: str, owner_id: str | None = None) -> None:
    talk = await uow.conversations.create(title="x", owner_id=owner_id)
    await uow.messages.append_many(talk.id, [{"role": "user", "content": text} for text in texts])


TEXT = "Caroline's sister went to an adoption agency; they met Zoë, Юлия and 東京タワー there, Οδυσσεύς in İSTANBUL."

# The mean, over the words of the question, of the best share of trigrams: each number was counted by hand.
CASES = [
    ("adoption", 1.0),
    ("ADOPTION agency", 1.0),
    ("adption", 6 / 11),
    ("adpotion", 5 / 13),
    ("carolyn", 5 / 12),
    ("adopt", 5 / 10),
    ("agencies", 5 / 11),
    ("sitser adoption", (3 / 11 + 1) / 2),
    ("zoe", 2 / 6),
    ("zoë", 1.0),
    ("ZOË!", 1.0),
    ("юлия", 1.0),
    ("ЮЛИИ", 3 / 7),
    ("東京タワ", 4 / 7),
    ("ΟΔΥΣΣΕΎΣ", 7 / 11),
    ("İstanbul", 1.0),
    ("zoe\u0308", (2 / 6)),
    ("zebra", None),
    ("sister zebra xylophone quartz", None),
    ("a", None),
]


@pytest.mark.parametrize("question, similarity", CASES)
async def test_a_typo_is_found_by_how_alike_the_words_are(
    fuzzy: UnitOfWork, question: str, similarity: float | None
) -> None:
    await say(fuzzy, "Nothing of it.", TEXT)
    expected = [] if similarity is None else [(TEXT, round(similarity, 3))]
    assert await contents(fuzzy, question) == expected


@pytest.mark.parametrize(
    "question", ["", " ", "?!", "🎉", '"', "'; DROP TABLE messages; --", "NEAR(a b)", "%", "_", "x" * 3_000]
)
async def test_any_text_is_a_question(fuzzy: UnitOfWork, question: str) -> None:
    await say(fuzzy, TEXT, "100 % of it", "")
    assert await contents(fuzzy, question) == []
    assert await fuzzy.personas.similar(question) == ()


async def test_a_long_question_is_its_first_words(fuzzy: UnitOfWork) -> None:
    await say(fuzzy, TEXT)
    assert [text for text, _ in await contents(fuzzy, f"adoption agency caroline sister {'zebra ' * 500}")] == [TEXT]
    # And the first thousand characters: a word as long as a book is asked as quickly as any.
    assert await contents(fuzzy, f"adoption {' ' * 1_000} {'zebra' * 200_000}") == [(TEXT, 1.0)]


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
async def test_what_no_text_column_takes_is_refused(fuzzy: UnitOfWork, text: str) -> None:
    with pytest.raises(InvalidInputError, match="text"):
        await fuzzy.messages.similar(text)


async def test_the_best_come_first_and_ties_by_id(fuzzy: UnitOfWork) -> None:
    for name in ("Carolina", "Caroline", "Karl", "Caroline", "Carl Caroline"):
        await fuzzy.personas.create(name=name, template="t")
    found = await fuzzy.personas.similar("caroline")
    assert [hit.row.name for hit in found] == ["Caroline", "Caroline", "Carl Caroline", "Carolina"]
    exact = [hit.row.id for hit in found[:3]]
    assert exact == sorted(exact)
    assert isinstance(found[0].row, Persona)
    assert [hit.similarity for hit in await fuzzy.personas.similar("caroline", limit=1)] == [1.0]
    for limit in (0, 1_001):
        with pytest.raises(InvalidInputError, match="limit"):
            await fuzzy.personas.similar("caroline", limit=limit)


async def test_the_best_are_compared_however_many_hold_a_piece(fuzzy: UnitOfWork) -> None:
    await say(fuzzy, *["the station of the nation"] * 60, TEXT)
    assert (await contents(fuzzy, "adoption"))[0] == (TEXT, 1.0)


def titles(found: Sequence[Similar[object]]) -> list[str]:
    return sorted(str(getattr(hit.row, "title", None) or getattr(hit.row, "name", None)) for hit in found)


async def test_each_owner_finds_what_it_sees(indexed: Database) -> None:
    async with indexed.sandbox():
        async with UnitOfWork(indexed) as uow:
            for owner in ("ada", "bob", None):
                await uow.personas.create(name=f"Melanie {owner}", template="t", owner_id=owner)
                talk = await uow.conversations.create(title=f"Camping {owner}", owner_id=owner)
                await uow.messages.append(talk.id, role="user", content=f"campfire {owner}")
            assert len(await uow.personas.similar("melani")) == 3
            assert len(await uow.messages.similar("campfir")) == 3
        async with UnitOfWork(indexed, owner_id="ada") as uow:
            assert titles(await uow.personas.similar("melani")) == ["Melanie None", "Melanie ada"]
            assert titles(await uow.conversations.similar("campin")) == ["Camping ada"]
            assert [hit.row.content for hit in await uow.messages.similar("campfir")] == ["campfire ada"]


async def test_of_a_persona_and_of_a_conversation(fuzzy: UnitOfWork) -> None:
    persona = await fuzzy.personas.create(name="p", template="t")
    hers = await fuzzy.conversations.create(title="painting one", persona_id=persona.id)
    other = await fuzzy.conversations.create(title="painting two")
    await fuzzy.conversations.archive(other.id)
    for talk in (hers, other):
        await fuzzy.messages.append(talk.id, role="user", content=f"about {talk.title}")
    assert titles(await fuzzy.conversations.similar("paintng")) == ["painting one", "painting two"]
    assert titles(await fuzzy.conversations.similar("paintng", persona_id=persona.id)) == ["painting one"]
    assert [text for text, _ in await contents(fuzzy, "paintng", persona_id=persona.id)] == ["about painting one"]
    assert [text for text, _ in await contents(fuzzy, "paintng", conversation_id=other.id)] == ["about painting two"]
    assert await contents(fuzzy, "paintng", conversation_id=other.id, persona_id=persona.id) == []


async def test_without_the_index_it_says_how_to_build_it(uow: UnitOfWork) -> None:
    for search in (uow.personas.similar, uow.conversations.similar, uow.messages.similar):
        with pytest.raises(ConfigurationError, match="index --fuzzy"):
            await search("melani")
    assert await uow.personas.count() == 0, "the unit goes on"
