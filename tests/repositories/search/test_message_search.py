"""Messages found by words, by vector and by both: the same on both databases, and as a second computation has it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from math import exp, hypot, log
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from database import Database
from database.errors import DimensionError, InvalidInputError
from models import EmbeddingSpace, Role
from repositories import UnitOfWork
from repositories.search import Ranking
from repositories.search.hybrid import K1, B
from repositories.search.ranking import ScoreParts
from tests.support import Statements

CountStatements = Callable[[], AbstractContextManager[Statements]]

MAY = datetime(2023, 5, 15, 12, tzinfo=UTC)
LINES: list[tuple[str, str, str, list[float], int]] = [
    # name, role, content, vector, episode
    ("Ada", "user", "Have you been to the zoo?", [1, 0, 0], 1),
    ("Bob", "assistant", "Yes! I loved the zebra and the lions.", [0.6, 0.8, 0], 1),
    ("Ada", "user", "What lovely weather.", [0, 0, 1], 1),
    ("Bob", "assistant", "Ada, the lions were asleep.", [0, 1, 0.2], 2),
    ("Ada", "user", "We went camping, zebra-striped tents and all.", [0.3, 0.3, 0.3], 2),
    ("Bob", "assistant", "Who else came?", [-1, 0.1, 0], 2),
]


@pytest.fixture
async def space(uow: UnitOfWork) -> EmbeddingSpace:
    space = await uow.embedding_spaces.create(name="three", dimensions=3)
    await uow.embedding_spaces.activate(space.id)
    return space


@pytest.fixture
async def talk(uow: UnitOfWork, space: EmbeddingSpace) -> UUID:
    return await store(uow, LINES)


async def store(uow: UnitOfWork, lines: list[tuple[str, str, str, list[float], int]], **columns: Any) -> UUID:
    row = await uow.conversations.create(title="zoo", **columns)
    for number, (name, role, content, vector, episode) in enumerate(lines):
        sent_at = MAY + timedelta(days=10 * number)
        message = await uow.messages.append(
            row.id, role=role, name=name, content=content, sent_at=sent_at, episode=episode
        )
        await uow.messages.embed(message.id, vector)
    return row.id


def places(found: Any) -> list[int]:
    return [hit.message.position for hit in found]


async def test_words_find_messages_that_hold_one_of_them_rare_ones_first(
    uow: UnitOfWork, talk: UUID, statements: CountStatements
) -> None:
    with statements() as seen:
        found = await uow.messages.search("zebras asleep", conversation_id=talk)
    assert len(seen) == 1
    assert sorted(places(found)) == [2, 4, 5]
    assert places(found)[0] == 4, "only one message has the rarer word"
    assert found.exact
    assert found[0].message.content == "Ada, the lions were asleep."
    assert places(await uow.messages.search("giraffe")) == []


async def test_a_vector_finds_the_nearest_and_nothing_else_counts(
    uow: UnitOfWork, talk: UUID, space: EmbeddingSpace, statements: CountStatements
) -> None:
    await uow.messages.append(talk, role="user", content="without a vector")
    with statements() as seen:
        found = await uow.messages.search(vector=[1, 0, 0], conversation_id=talk, space=space)
    assert len(seen) == 1
    assert places(found) == [1, 2, 5, 3, 4, 6]
    assert [hit.score for hit in found] == pytest.approx([1, 0.6, 3**-0.5, 0, 0, -1 / 1.01**0.5], abs=1e-6)


async def test_a_score_is_the_sum_of_its_parts_and_each_is_what_it_says(uow: UnitOfWork, talk: UUID) -> None:
    query = [0.5, 0.5, 0.1]
    found = await uow.messages.search(
        "What did Bob say about lions and a zebra in May?", vector=query, conversation_id=talk, explain=True
    )
    expected = reference(["lions", "zebra"], query, Ranking(), yearly=datetime(2024, 5, 15, 12, tzinfo=UTC))
    assert len(found) == len(LINES)
    for hit in found:
        assert hit.parts is not None
        parts = {field.name: getattr(hit.parts, field.name) for field in fields(ScoreParts)}
        assert parts == pytest.approx(expected[hit.message.position], abs=1e-5)
        assert hit.score == pytest.approx(sum(parts.values()))
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


def reference(words: list[str], query: list[float], ranking: Ranking, yearly: datetime) -> dict[int, dict[str, float]]:
    """The ranking said again, in plain Python, of LINES; the words of the question with what they begin."""

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / hypot(*a) / hypot(*b)

    stems = {"lions": "lion", "zebra": "zebra"}
    hits = [(word, n) for word in words for n, line in enumerate(LINES) if stems[word] in line[2].lower()]
    mean = sum(len(LINES[n][2]) for _, n in hits) / len(hits)

    def rarity(number: int, of: int) -> float:
        return log(1 + (of - number + 0.5) / (number + 0.5))

    lexical = dict.fromkeys(range(len(LINES)), 0.0)
    episodes = {1: 0.0, 2: 0.0}
    for word in words:
        rows = [n for theirs, n in hits if theirs == word]
        for n in rows:
            lexical[n] += rarity(len(rows), len(LINES)) * (K1 + 1) / (1 + K1 * (1 - B + B * len(LINES[n][2]) / mean))
        times = {episode: sum(LINES[n][4] == episode for n in rows) for episode in episodes}
        there = {episode: count for episode, count in times.items() if count}
        for episode, count in there.items():
            episodes[episode] += rarity(len(there), len(episodes)) * count * (K1 + 1) / (count + K1)
    own, parts = [], {}
    for n, (name, _, content, vector, episode) in enumerate(LINES):
        days = abs((MAY + timedelta(days=10 * n) - yearly).total_seconds()) / 86_400
        days = abs(days - 365.25 * round(days / 365.25))
        parts[n + 1] = {
            "similarity": ranking.similarity * cosine(vector, query),
            "words": ranking.words * lexical[n] / max(lexical.values()),
            "time": ranking.time * exp(-days / 20),
        }
        own.append(sum(parts[n + 1].values()))
        parts[n + 1]["episode"] = ranking.episode * episodes[episode] / max(episodes.values())
        parts[n + 1]["speaker"] = ranking.speaker * (name == "Bob")
        parts[n + 1]["first_person"] = ranking.first_person * (name == "Bob" and " I " in content)
    for n, (_, _, _, _, _) in enumerate(LINES):
        beside = [own[place] for place in (n - 1, n + 1) if 0 <= place < len(own)]
        parts[n + 1]["neighbours"] = ranking.neighbours * max(*beside, 0)
        parts[n + 1]["reply"] = ranking.reply * own[n - 1] if n and "?" in LINES[n - 1][2] else 0
    return parts


async def test_a_part_of_weight_0_is_off(uow: UnitOfWork, talk: UUID) -> None:
    question = "What did Bob say about lions in May?"
    for field in fields(Ranking):
        ranking = Ranking(**{field.name: 0})
        found = await uow.messages.search(question, vector=[0, 1, 0], ranking=ranking, explain=True)
        assert {getattr(hit.parts, field.name) for hit in found} == {0}


async def test_talk_without_names_dates_or_questions_is_ranked_as_without_those_parts(
    uow: UnitOfWork, space: EmbeddingSpace
) -> None:
    plain = [("", role, content.replace("?", "."), vector, 1) for _, role, content, vector, _ in LINES]
    await store(uow, [(None, *rest) for _, *rest in plain])  # type: ignore[misc]  # nobody is named
    without = Ranking(time=0, reply=0, speaker=0, first_person=0)
    for question in ("lions", "the zebra was asleep", "camping tents", "nothing of it"):
        for vector in ([0, 1, 0], [1, 0, 0.5]):
            found = await uow.messages.search(question, vector=vector)
            as_before = await uow.messages.search(question, vector=vector, ranking=without)
            assert [(hit.message.id, hit.score) for hit in found] == [(hit.message.id, hit.score) for hit in as_before]


async def test_a_name_is_a_hint_unless_it_is_all_that_is_asked(uow: UnitOfWork, talk: UUID) -> None:
    assert places(await uow.messages.search("Ada asleep")) == [4]
    assert places(await uow.messages.search("Ada")) == [4], "the message that says it"


async def test_filters_narrow_what_is_found_and_not_what_is_beside_it(uow: UnitOfWork, talk: UUID) -> None:
    of_users = await uow.messages.search("zebra lions", roles=[Role.USER], explain=True)
    assert places(of_users) == [5]
    assert of_users[0].parts is not None
    assert of_users[0].parts.neighbours > 0, "the assistant's message before it counts"
    assert places(await uow.messages.search("zebra lions", roles=["assistant", "user"], since=MAY)) == [2, 4, 5]
    assert sorted(places(await uow.messages.search("zebra lions", since=MAY + timedelta(days=30)))) == [4, 5]
    assert places(await uow.messages.search("zebra lions", until=MAY + timedelta(days=30))) == [2]
    assert places(await uow.messages.search(vector=[0, 1, 0], until=MAY + timedelta(days=20), limit=1)) == [2]


async def test_the_scope_is_a_conversation_a_persona_or_everything(uow: UnitOfWork, talk: UUID) -> None:
    persona = await uow.personas.create(name="Bob", template="x")
    other = await store(uow, LINES, persona_id=persona.id)
    assert len(await uow.messages.search("zebra")) == 4
    for vector in (None, [0, 1, 0]):
        found = await uow.messages.search("zebra", vector=vector, persona_id=persona.id)
        assert {hit.message.conversation_id for hit in found} == {other}
        found = await uow.messages.search("zebra", vector=vector, conversation_id=talk, persona_id=persona.id)
        assert len(found) == 0


async def test_hits_come_with_what_is_around_them(uow: UnitOfWork, talk: UUID, statements: CountStatements) -> None:
    other = await store(uow, LINES)
    with statements() as seen:
        found = await uow.messages.search("asleep", around=2)
    assert len(seen) == 2
    assert {hit.message.conversation_id for hit in found} == {talk, other}
    for hit in found:
        assert [record.position for record in hit.before] == [2, 3]
        assert [record.position for record in hit.after] == [5, 6]
        assert {record.conversation_id for record in (*hit.before, *hit.after)} == {hit.message.conversation_id}


async def test_the_words_of_the_question_are_shown_in_any_form(uow: UnitOfWork, talk: UUID) -> None:
    (found,) = await uow.messages.search("asleep lion", limit=1)
    content = found.message.content
    assert [content[start:end] for start, end in found.highlights] == ["lions", "asleep"]
    (nearest,) = await uow.messages.search("no such word", vector=[0, 1, 0.2], limit=1)
    assert nearest.highlights == ()
    assert (await uow.messages.search(vector=[0, 1, 0.2]))[0].highlights == ()


async def test_a_page_of_words_holds_every_word_the_newest_first(
    uow: UnitOfWork, talk: UUID, statements: CountStatements
) -> None:
    other = await store(uow, LINES)
    with statements() as seen:
        first = await uow.messages.page_of_words("the lion", limit=3)
    assert len(seen) == 1
    assert [message.position for message in first] == [4, 4, 2]
    assert first.next is not None
    last = await uow.messages.page_of_words("the lion", after=first.next, limit=3)
    assert ([message.position for message in last], last.next) == ([2], None)
    assert len({message.id for page in (first, last) for message in page}) == 4
    of_other = await uow.messages.page_of_words("lions ASLEEP", conversation_id=other)
    assert [(message.conversation_id, message.position) for message in of_other] == [(other, 4)]
    for nothing in ("lion zebra camping", "?!", ""):
        assert len(await uow.messages.page_of_words(nothing)) == 0
    with pytest.raises(InvalidInputError):
        await uow.messages.page_of_words("a\x00b")


async def test_a_wide_scope_gives_what_a_narrow_one_gives(uow: UnitOfWork, talk: UUID) -> None:
    question = "What did Bob say about lions in May?"
    whole = await uow.messages.search(question, vector=[0, 1, 0], mode="exact", explain=True)
    wide = await uow.messages.search(question, vector=[0, 1, 0], mode="approximate", explain=True)
    assert (whole.exact, wide.exact) == (True, False)
    assert [(hit.message.id, hit.parts) for hit in whole] == [(hit.message.id, hit.parts) for hit in wide]


@pytest.mark.parametrize("metric", ["l2", "inner_product"])
async def test_other_metrics(uow: UnitOfWork, metric: str) -> None:
    space = await uow.embedding_spaces.create(name=metric, dimensions=3, metric=metric)
    await uow.embedding_spaces.activate(space.id)
    await store(uow, LINES)
    found = await uow.messages.search(vector=[1, 0, 0], limit=1)
    assert places(found) == [1]
    assert found[0].score == pytest.approx(1)


async def test_bad_input_is_refused_by_its_name(uow: UnitOfWork, talk: UUID) -> None:
    search = uow.messages.search
    for field, arguments in {
        "text": {},
        "vector": {"vector": [float("nan"), 0, 0]},
        "limit": {"text": "x", "limit": 0},
        "around": {"text": "x", "around": 21},
        "roles": {"text": "x", "roles": ["king"]},
        "since": {"text": "x", "since": datetime(2023, 1, 1)},
        "now": {"text": "x", "now": datetime(2023, 1, 1)},
        "conversation_id": {"text": "x", "conversation_id": "no id"},
        "mode": {"text": "x", "mode": "fast"},
    }.items():
        with pytest.raises(InvalidInputError) as refused:
            await search(**arguments)  # type: ignore[arg-type]  # on purpose
        assert refused.value.field == field
    with pytest.raises(InvalidInputError):
        await search("a\x00b")
    with pytest.raises(DimensionError):
        await search(vector=[1, 0])
    with pytest.raises(InvalidInputError):
        Ranking(words=-1)
    assert len(await search("lions")) == 2


@pytest.mark.parametrize(
    "text",
    ["'; DROP TABLE messages; --", '"unclosed', "a AND OR NOT (", "* ^ : {}", "zebra*", "\N{ZEBRA FACE}", "%", ":word"]
    + ["NEAR(a b)", "content:zebra", "-zebra", "a" * 3_000, "zebra " * 500, "don't", "\\", "$1 ?", "&|!<->"],
)
async def test_whatever_a_person_types_is_a_question(uow: UnitOfWork, talk: UUID, text: str) -> None:
    found = await uow.messages.search(text)
    if "zebra" in text:
        assert sorted(places(found)) == [2, 5]
    await uow.messages.search(text, vector=[1, 0, 0])


async def test_any_text_is_a_question(database: Database) -> None:
    loop = asyncio.get_running_loop()
    async with database.sandbox(), UnitOfWork(database) as uow:
        await uow.conversations.create(title="x")

        @given(st.text(max_size=80))
        def ask(text: str) -> None:
            try:
                asyncio.run_coroutine_threadsafe(uow.messages.search(text), loop).result()
            except InvalidInputError as error:
                assert error.field == "text"  # noqa: PT017  # most texts are good ones

        await asyncio.to_thread(ask)
