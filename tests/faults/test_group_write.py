"""Group write where connections break: what was acknowledged is stored once, and who has no answer is told."""

import asyncio

import pytest

from database import Database
from database.errors import CommitUnknownError
from repositories import MessageRecord, MessageWriter, UnitOfWork, write_lane
from scripts.torture.proxy import Cut, Proxy
from scripts.torture.writers import new_conversations
from tests.support import on_postgresql

pytestmark = [pytest.mark.faults, on_postgresql]

TASKS, TURNS, KILLS = 8, 25, 6
SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database()
"""


@pytest.mark.parametrize("when", Cut)
async def test_a_commit_without_an_answer_is_done_again(fresh_url: str, when: Cut) -> None:
    talks = await new_conversations(fresh_url, 3)
    async with Proxy(fresh_url) as proxy, Database(proxy.url) as database, MessageWriter(database) as writer:
        for turn in range(3):
            proxy.cut(when)
            calls = [writer.append(talk, role="user", content=f"{turn} {n}") for n in range(2) for talk in talks]
            records = await asyncio.gather(*calls)
            assert proxy.cuts == turn + 1
            assert [record.position for record in records] == [turn * 2 + n + 1 for n in range(2) for _ in talks]
        for talk in talks:
            async with UnitOfWork(database) as uow:
                history = await uow.messages.history(talk)
                assert (await uow.conversations.get(talk)).message_count == 6
            assert [record.content for record in history] == [f"{turn} {n}" for turn in range(3) for n in range(2)]


@pytest.mark.parametrize("when", Cut)
async def test_who_has_no_answer_is_told(fresh_url: str, when: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_lane, "RETRIES", 0)
    [talk] = await new_conversations(fresh_url, 1)
    async with Proxy(fresh_url) as proxy, Database(proxy.url) as database, MessageWriter(database) as writer:
        proxy.cut(when)
        calls = [writer.append(talk, role="user", content=str(n)) for n in range(4)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in found] == [CommitUnknownError] * 4
        after = await writer.append(talk, role="user", content="after it")
        assert after.position == (5 if when is Cut.AFTER else 1), "all of them or none"


async def test_sessions_are_killed(fresh_database: Database, fresh_url: str) -> None:
    talks = await new_conversations(fresh_url, 3)
    acknowledged: list[MessageRecord] = []

    async def write(task: int, writer: MessageWriter) -> None:
        for turn in range(TURNS):
            talk = talks[(task + turn) % 3]
            acknowledged.append(await writer.append(talk, role="user", name=str(task), content=f"{turn:02}"))

    async with Database(fresh_url) as killer, MessageWriter(fresh_database) as writer:
        tasks = [asyncio.create_task(write(task, writer)) for task in range(TASKS)]
        killed = 0
        for kill in range(1, KILLS + 1):
            while len(acknowledged) < kill * TASKS * TURNS // (KILLS + 2):
                await killer.fetch_value("SELECT 1")
            killed += len(await killer.fetch_all(SESSIONS))
        await asyncio.gather(*tasks)
    assert killed >= KILLS
    stored: list[MessageRecord] = []
    async with UnitOfWork(fresh_database) as uow:
        for talk in talks:
            history = await uow.messages.history(talk, last=1000)
            row = await uow.conversations.get(talk)
            assert [record.position for record in history] == [*range(1, len(history) + 1)]
            assert (row.last_position, row.message_count) == (len(history), len(history))
            for task in range(TASKS):
                turns = [record.content for record in history if record.name == str(task)]
                assert turns == sorted(turns)
            stored += history
    assert len(acknowledged) == TASKS * TURNS
    by_id = {record.id: record for record in stored}
    assert len(by_id) == len(stored) == len(acknowledged)
    assert all(by_id[record.id] == record for record in acknowledged), "each once, as it was told"
