"""Nested units have the outcomes of Django's atomic(): savepoints, and hooks after the outermost commit."""

import pytest
from sqlmodel import col, select

from database import Database, Session
from database.errors import DuplicateError, TransactionError
from models import Conversation
from tests.factories import ConversationFactory
from tests.models.catalogue import insert

# What happens in (outer, inner, caught) -> what is kept, and which hooks run.
OUTCOMES = [
    ("nothing fails", ["outer", "inner", "after"]),
    ("inner fails, caught around it", ["outer", "after"]),
    ("inner fails, not caught", []),
    ("outer fails after inner", []),
    ("inner fails, caught around it, and outer fails", []),
    ("inner fails, caught around it, and another inner is whole", ["outer", "another", "after"]),
    ("inner fails in the database, caught around it", ["outer", "after"]),
    ("inner fails in the database, caught inside it", []),
    ("innermost fails, caught in inner", ["outer", "inner", "after"]),
    ("innermost is whole, inner fails, caught around it", ["outer", "after"]),
]


class Failure(Exception):
    pass


async def note(session: Session, title: str, ran: list[str]) -> Conversation:
    session.on_commit(lambda: ran.append(title))
    return await ConversationFactory.create(session, title=title)


async def run(database: Database, story: str, ran: list[str]) -> None:
    async with database.transaction() as session:
        chat = await note(session, "outer", ran)
        try:
            async with session.nested():
                try:
                    await inner(session, story, chat, ran)
                except DuplicateError:
                    if "inside it" not in story:
                        raise
        except (Failure, DuplicateError):
            if "not caught" in story:
                raise
        if "another inner" in story:
            async with session.nested():
                await note(session, "another", ran)
        assert ran == []
        await note(session, "after", ran)
        if "outer fails" in story:
            raise Failure


async def inner(session: Session, story: str, chat: Conversation, ran: list[str]) -> None:
    await note(session, "inner", ran)
    if "in the database" in story:
        await insert(session, chat)
    if story.startswith("innermost"):
        try:
            async with session.nested():
                await note(session, "innermost", ran)
                if "innermost fails" in story:
                    raise Failure
        except Failure:
            return
    if story.startswith("inner fails") or "inner fails, caught around it" in story:
        raise Failure


@pytest.mark.parametrize(("story", "kept"), OUTCOMES, ids=[story for story, _ in OUTCOMES])
async def test_outcomes(emptied: Database, story: str, kept: list[str]) -> None:
    ran: list[str] = []
    if kept:
        await run(emptied, story, ran)
    else:
        with pytest.raises((Failure, TransactionError)):
            await run(emptied, story, ran)
    async with emptied.session() as session:
        assert list(await session.exec(select(Conversation.title).order_by(col(Conversation.id)))) == kept
    assert ran == kept


async def test_a_savepoint_guards_a_connection_that_was_taken_before_it(session: Session) -> None:
    chat = await ConversationFactory.create()
    connection = await session.core()
    with pytest.raises(DuplicateError):
        async with session.nested():
            await connection.execute(Conversation.__table__.insert().values(id=chat.id, title="again"))  # type: ignore[attr-defined]  # SQLModel does not declare it
    assert (await connection.execute(select(Conversation.title))).scalar_one() == chat.title


async def test_what_was_pending_before_a_savepoint_outlives_it(session: Session) -> None:
    session.add(Conversation(title="pending"))
    lost = Conversation(title="lost")
    with pytest.raises(Failure):
        await fail_with(session, lost)
    assert list(await session.exec(select(Conversation.title))) == ["pending"]


async def test_what_is_pending_in_a_savepoint_fails_inside_it(session: Session) -> None:
    chat = await ConversationFactory.create()
    session.expunge(chat)
    with pytest.raises(DuplicateError):
        async with session.nested():
            session.add(Conversation(id=chat.id, title="again"))
    assert list(await session.exec(select(Conversation.title))) == [chat.title]


async def test_entities_of_an_undone_savepoint_are_no_longer_the_sessions(session: Session) -> None:
    chat = await ConversationFactory.create(title="before")
    lost = Conversation(title="lost")
    with pytest.raises(Failure):
        await fail_with(session, lost)
    assert chat in session
    assert lost not in session


async def fail_with(session: Session, chat: Conversation) -> None:
    async with session.nested():
        session.add(chat)
        await session.flush()
        raise Failure
