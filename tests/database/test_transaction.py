"""A transaction is kept whole on a clean exit and not at all otherwise."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from database import Database, Session
from database.errors import DuplicateError, MissingReferenceError, QueryError, TransactionError
from models import Conversation
from tests.factories import ConversationFactory, MessageFactory, PersonaFactory


async def titles(database: Database) -> list[str]:
    async with database.session() as session:
        return list(await session.exec(select(Conversation.title).order_by(col(Conversation.id))))


async def test_a_clean_exit_commits(emptied: Database) -> None:
    async with emptied.transaction() as session:
        await ConversationFactory.create(session, title="kept")
        assert await titles(emptied) == []
    assert await titles(emptied) == ["kept"]


async def test_what_is_pending_is_flushed_by_the_commit(emptied: Database) -> None:
    async with emptied.transaction() as session:
        session.add(Conversation(title="pending"))
    assert await titles(emptied) == ["pending"]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()])
async def test_any_exception_rolls_back_and_goes_on_outward(emptied: Database, error: BaseException) -> None:
    async def unit() -> None:
        async with emptied.transaction() as session:
            await ConversationFactory.create(session)
            raise error

    with pytest.raises(type(error)) as caught:
        await unit()
    assert caught.value is error
    assert await titles(emptied) == []


async def test_an_error_of_the_last_flush_rolls_back_everything(emptied: Database) -> None:
    message = MessageFactory.build()

    async def unit() -> None:
        async with emptied.transaction() as session:
            await ConversationFactory.create(session)
            session.add(message)

    with pytest.raises(MissingReferenceError):
        await unit()
    assert await titles(emptied) == []


async def test_a_cancelled_unit_keeps_nothing(emptied: Database) -> None:
    reached = asyncio.Event()

    async def unit() -> None:
        async with emptied.transaction() as session:
            await ConversationFactory.create(session)
            reached.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(unit())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await titles(emptied) == []
    async with emptied.transaction() as session:
        await ConversationFactory.create(session, title="next")
    assert await titles(emptied) == ["next"]


async def test_a_unit_with_a_time_limit_keeps_nothing(emptied: Database) -> None:
    async def unit() -> None:
        async with asyncio.timeout(0.01), emptied.transaction() as session:
            await ConversationFactory.create(session)
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await unit()
    assert await titles(emptied) == []


async def test_entities_are_usable_after_the_commit(emptied: Database) -> None:
    async with emptied.transaction() as session:
        chat = await ConversationFactory.create(session, title="kept")
    assert (chat.title, chat.message_count) == ("kept", 0)


async def test_units_of_several_tasks_are_apart(emptied: Database) -> None:
    async def unit(number: int) -> None:
        async with emptied.transaction() as session:
            persona = await PersonaFactory.create(session)
            await ConversationFactory.create(session, title=str(number), persona_id=persona.id)
            if number % 2:
                raise RuntimeError

    outcomes = await asyncio.gather(*(unit(number) for number in range(20)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), RuntimeError] * 10
    assert sorted(await titles(emptied), key=int) == [str(number) for number in range(0, 20, 2)]


async def test_a_unit_carries_its_owner_and_settings(emptied: Database) -> None:
    async with emptied.transaction(owner_id="ada") as session:
        assert session.owner_id == "ada"
        assert session.settings is emptied.settings
        async with session.nested() as savepoint:
            assert savepoint.owner_id == "ada"
    async with emptied.session() as session:
        assert session.owner_id is None


async def test_a_reader_sees_what_was_committed_and_waits_for_no_writer(emptied: Database) -> None:
    async with emptied.transaction() as writer:
        await ConversationFactory.create(writer, title="unseen")
        async with emptied.session() as reader:
            assert (await reader.exec(select(Conversation.title))).all() == []
        assert await asyncio.create_task(titles(emptied)) == []
    assert await titles(emptied) == ["unseen"]


# Units that are used against their rules.


async def test_a_second_transaction_of_a_task_is_refused_on_sqlite_at_once(emptied: Database, backend: str) -> None:
    async def second(session: Session) -> None:
        async with emptied.transaction() as inner:
            await ConversationFactory.create(inner, title="inner")
        await ConversationFactory.create(session, title="outer")

    async with emptied.transaction() as session:
        if backend == "sqlite":
            with pytest.raises(TransactionError):
                await second(session)
        else:
            await second(session)
    assert await titles(emptied) == ([] if backend == "sqlite" else ["inner", "outer"])


async def test_a_statement_of_the_database_inside_a_transaction_of_the_task_is_refused_on_sqlite(
    emptied: Database, backend: str
) -> None:
    if backend == "postgresql":
        return
    async with emptied.transaction():
        with pytest.raises(TransactionError):
            await emptied.execute("DELETE FROM conversations")
        assert await emptied.fetch_value("SELECT count(*) FROM conversations") == 0


async def test_one_transaction_after_the_other_is_no_second_one(emptied: Database) -> None:
    for number in range(3):
        async with emptied.transaction() as session:
            await ConversationFactory.create(session, title=str(number))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            async with emptied.transaction():
                _ = 1 / 0
    assert await titles(emptied) == ["0", "1", "2"]


async def test_a_unit_that_goes_on_after_a_failed_statement_is_refused_and_keeps_nothing(
    emptied: Database,
) -> None:
    chat = await kept_chat(emptied)

    async def swallowing() -> None:
        async with emptied.transaction() as session:
            await ConversationFactory.create(session, title="before")
            with pytest.raises(MissingReferenceError):
                await MessageFactory.create(session, conversation_id=PersonaFactory.build().id)
            # SQLAlchemy has ended the transaction of a failed flush, and says so in its own words first.
            for use in (session.exec(select(Conversation)), session.get(Conversation, chat.id)):
                with pytest.raises(sa.exc.PendingRollbackError):
                    await use
            with pytest.raises(TransactionError):
                await session.core()

    with pytest.raises(TransactionError):
        await swallowing()
    assert await titles(emptied) == ["kept"]


async def test_a_failed_raw_statement_breaks_its_unit_on_both(emptied: Database) -> None:
    chat = await kept_chat(emptied)
    duplicate = "INSERT INTO conversations SELECT * FROM conversations"

    async def swallowing() -> None:
        async with emptied.transaction() as session:
            await ConversationFactory.create(session, title="before")
            connection = await session.core()
            for error in (DuplicateError, TransactionError, TransactionError):
                with pytest.raises(error):
                    await connection.execute(sa.text(duplicate))
            with pytest.raises(TransactionError):
                await session.exec(select(Conversation).where(Conversation.id == chat.id))

    with pytest.raises(TransactionError):
        await swallowing()
    assert await titles(emptied) == ["kept"]


async def test_a_unit_that_swallows_its_only_failure_keeps_nothing(emptied: Database) -> None:
    async def swallowing() -> None:
        async with emptied.transaction() as session:
            await ConversationFactory.create(session, title="before")
            connection = await session.core()
            with pytest.raises(QueryError):
                await connection.execute(sa.text("SELEC 1"))

    with pytest.raises(TransactionError):
        await swallowing()
    assert await titles(emptied) == []


async def test_a_connection_is_whole_again_after_a_broken_unit(emptied: Database) -> None:
    for _ in range(3):
        with pytest.raises(QueryError):
            await emptied.execute("SELEC 1")
        assert await emptied.fetch_value("SELECT 1") == 1
        async with emptied.transaction() as session:
            await ConversationFactory.create(session)
    assert len(await titles(emptied)) == 3


async def kept_chat(database: Database) -> Conversation:
    async with database.transaction() as session:
        return await ConversationFactory.create(session, title="kept")
