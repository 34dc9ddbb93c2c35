"""Conversations: named, put away, paged by the newest, gone with all that is theirs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from database import Database, Session
from database.errors import (
    DuplicateError,
    InvalidCursorError,
    InvalidInputError,
    MissingReferenceError,
    NotFoundError,
)
from repositories.conversation import ConversationRepository
from repositories.message import MessageRepository
from repositories.pagination import encode_cursor
from tests.factories import ConversationFactory, PersonaFactory
from tests.support import Statements

Counted = Callable[[], AbstractContextManager[Statements]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def conversations(session: Session) -> ConversationRepository:
    return ConversationRepository(session)


async def test_create_get_rename_archive(conversations: ConversationRepository, statements: Counted) -> None:
    key = uuid4()
    with statements() as seen:
        talk = await conversations.create(title="First", id=key, provider_config={"model": "x"}, extra_data={"a": [1]})
    assert len(seen) == 1
    assert talk.id == key
    with statements() as seen:
        assert await conversations.get(key) is talk
        renamed = await conversations.rename(key, "Second")
        archived = await conversations.archive(key)
        restored = await conversations.restore(key)
    assert len(seen) == 4
    assert renamed is archived is restored is talk
    assert (talk.title, talk.archived_at, talk.provider_config, talk.extra_data) == (
        "Second",
        None,
        {"model": "x"},
        {"a": [1]},
    )
    assert talk.updated_at > talk.created_at
    with pytest.raises(NotFoundError) as missing:
        await conversations.rename(uuid4(), "x")
    assert missing.value.model == "Conversation"


async def test_get_reads_what_is_there_now(conversations: ConversationRepository, session: Session) -> None:
    talk = await conversations.create(title="x")
    await MessageRepository(session).append(talk.id, role="user", content="hello")
    assert talk.message_count == 0
    assert (await conversations.get(talk.id)).message_count == 1
    talk.title = "changed in the session"
    assert (await conversations.get(talk.id)).title == "changed in the session"


async def test_load_reads_a_relationship_with_it(
    conversations: ConversationRepository, session: Session, statements: Counted
) -> None:
    persona = await PersonaFactory.create(session, name="Odile")
    talk = await conversations.create(title="x", persona_id=persona.id)
    session.expunge_all()
    with statements() as seen:
        found = await conversations.get(talk.id, load=["persona"])
    assert len(seen) == 2
    assert found.persona is not None
    assert found.persona.name == "Odile"
    with pytest.raises(InvalidInputError):
        await conversations.get(talk.id, load=["nonsense"])


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("title", {"title": "x" * 256}),
        ("title", {"title": "a\0"}),
        ("title", {"title": None}),
        ("provider_type", {"provider_type": "x" * 51}),
        ("provider_config", {"provider_config": {"a": float("inf")}}),
        ("owner_id", {"owner_id": ""}),
        ("persona_id", {"persona_id": "x"}),
        ("id", {"id": "x"}),
    ],
)
async def test_bad_input_is_refused_by_its_field(
    conversations: ConversationRepository, field: str, values: dict[str, object], statements: Counted
) -> None:
    with statements() as seen:
        with pytest.raises(InvalidInputError) as refused:
            await conversations.create(**{"title": "x", **values})  # type: ignore[arg-type]  # wrong types
        assert refused.value.field == field
        with pytest.raises(InvalidInputError) as refused:
            await conversations.create_many([{"title": "x", **values}])
        assert refused.value.field == field
        assert len(seen) == 0


async def test_missing_and_unknown_columns_are_refused(conversations: ConversationRepository) -> None:
    for field, row in {"title": {}, "nonsense": {"title": "x", "nonsense": 1}}.items():
        with pytest.raises(InvalidInputError) as refused:
            await conversations.create_many([row])
        assert refused.value.field == field


@pytest.mark.parametrize(
    "name", ["message_count", "last_position", "last_message_at", "id", "owner_id", "created_at", "nonsense"]
)
async def test_what_no_caller_changes(conversations: ConversationRepository, name: str) -> None:
    talk = await conversations.create(title="x")
    with pytest.raises(InvalidInputError) as refused:
        await conversations.update(talk.id, **{name: 1})
    assert refused.value.field == name


async def test_update_validates_each_value(conversations: ConversationRepository) -> None:
    talk = await conversations.create(title="x")
    for name, value in {
        "title": None,
        "extra_data": {"a": float("nan")},
        "archived_at": NOON.replace(tzinfo=None),
    }.items():
        with pytest.raises(InvalidInputError) as refused:
            await conversations.update(talk.id, **{name: value})
        assert refused.value.field == name
    assert (await conversations.get(talk.id)).title == "x"


async def test_duplicates_and_missing_references(fresh_database: Database) -> None:
    async with fresh_database.transaction() as session:
        conversations = ConversationRepository(session)
        talk = await conversations.create(title="x")
        with pytest.raises(DuplicateError):
            async with session.nested():
                await conversations.create(title="again", id=talk.id)
        with pytest.raises(MissingReferenceError):
            async with session.nested():
                await conversations.create(title="x", persona_id=uuid4())
        with pytest.raises(MissingReferenceError):
            async with session.nested():
                await conversations.update(talk.id, persona_id=uuid4())
        assert await conversations.count() == 1


async def test_pages_walk_every_row_once(
    conversations: ConversationRepository, session: Session, statements: Counted
) -> None:
    persona = await PersonaFactory.create(session)
    made: list[UUID] = []
    for number in range(23):
        talk = await ConversationFactory.create(
            session,
            last_message_at=NOON + timedelta(minutes=number // 3),
            persona_id=persona.id if number % 2 else None,
        )
        made.append(talk.id)
    newest_first = [
        row.id for row in sorted(await conversations.get_many(made), key=lambda row: (row.last_message_at, row.id))
    ][::-1]
    for limit in (1, 5, 23, 24):
        seen: list[UUID] = []
        after: str | None = None
        while True:
            with statements() as counted:
                page = await conversations.page(limit=limit, after=after)
            assert len(counted) == 1
            assert len(page) <= limit
            seen += [row.id for row in page]
            if (after := page.next) is None:
                break
        assert seen == newest_first
    assert len(await conversations.page(persona_id=persona.id)) == 11


async def test_archived_ones_leave_the_newest(conversations: ConversationRepository) -> None:
    here, away = await conversations.create(title="here"), await conversations.create(title="away")
    await conversations.archive(away.id)
    assert [row.id for row in await conversations.page()] == [here.id]
    assert [row.id for row in await conversations.page(archived=True)] == [away.id]
    assert len(await conversations.page(archived=None)) == 2


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "=" * 9,
        "AAAA",
        "W10",
        encode_cursor("runs:id:True", [UUID(int=7)]),
        encode_cursor("conversations:last_message_at,id:True", [1, 2]),
        encode_cursor("conversations:last_message_at,id:True", [NOON]),
        encode_cursor("conversations:last_message_at,id:True", [NOON.replace(tzinfo=None), UUID(int=7)]),
    ],
)
async def test_a_cursor_that_is_none_is_refused(conversations: ConversationRepository, cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        await conversations.page(after=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1_001, True, 2**70])
async def test_a_limit_out_of_range_is_refused(conversations: ConversationRepository, limit: int) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await conversations.page(limit=limit)
    assert refused.value.field == "limit"


async def test_get_many_keeps_the_order_asked(conversations: ConversationRepository) -> None:
    a, b = await conversations.create(title="a"), await conversations.create(title="b")
    found = await conversations.get_many([b.id, uuid4(), a.id, b.id])
    assert [row.id for row in found] == [b.id, a.id, b.id]
    assert await conversations.get_many([]) == []


async def test_create_many_gives_ids_in_order(conversations: ConversationRepository, statements: Counted) -> None:
    with statements() as seen:
        ids = await conversations.create_many({"title": str(number)} for number in range(501))
    assert len(seen) == 2
    assert [row.title for row in await conversations.get_many(ids[:3])] == ["0", "1", "2"]
    assert await conversations.count() == 501
    assert await conversations.exists(ids[500])


async def test_lock_and_delete(conversations: ConversationRepository, statements: Counted) -> None:
    talk = await conversations.create(title="x")
    with statements() as seen:
        assert (await conversations.lock(talk.id)).id == talk.id
        assert await conversations.delete(talk.id)
    assert len(seen) == 2
    assert not await conversations.delete(talk.id)
    assert await conversations.delete_many([talk.id]) == await conversations.delete_many([]) == 0
    assert not await conversations.exists(talk.id)
    with pytest.raises(NotFoundError):
        await conversations.lock(talk.id)
    with pytest.raises(NotFoundError):
        await conversations.get(talk.id)


async def test_an_owner_sees_and_makes_its_own(fresh_database: Database) -> None:
    async with fresh_database.transaction() as session:
        nobodys = await ConversationRepository(session).create(title="nobody's")
    async with fresh_database.transaction(owner_id="bob") as session:
        bobs = await ConversationRepository(session).create(title="Bob's")
        bobs_persona = await PersonaFactory.create(session, owner_id="bob")
    async with fresh_database.transaction(owner_id="ada") as session:
        conversations = ConversationRepository(session)
        own = await conversations.create(title="Ada's")
        assert own.owner_id == "ada"
        with pytest.raises(InvalidInputError):
            await conversations.create(title="x", owner_id="bob")
        with pytest.raises(MissingReferenceError):
            await conversations.create(title="x", persona_id=bobs_persona.id)
        with pytest.raises(MissingReferenceError):
            await conversations.update(own.id, persona_id=bobs_persona.id)
        with pytest.raises(MissingReferenceError):
            await conversations.create_many([{"title": "x", "persona_id": bobs_persona.id}])
        for absent in (bobs.id, nobodys.id, uuid4()):
            with pytest.raises(NotFoundError):
                await conversations.get(absent)
            with pytest.raises(NotFoundError):
                await conversations.rename(absent, "x")
            assert not await conversations.delete(absent)
            assert await conversations.get_many([absent]) == []
        assert [row.id for row in await conversations.page(archived=None)] == [own.id]
        assert await conversations.count() == 1
    async with fresh_database.session() as session:
        found = await ConversationRepository(session).get(bobs.id)
        assert (found.title, found.updated_at) == ("Bob's", bobs.updated_at)
        assert await ConversationRepository(session).count() == 3
