"""The repositories against dictionaries: on both databases, step by step; and that planted bugs are found."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from repositories.memory import MemoryRepository
from repositories.message import MessageRepository
from repositories.state import StateRepository
from tests.repositories.machine import Machine, Stores
from tests.support import PostgresCopies, SqliteCopies


@pytest.fixture(scope="module")
async def urls(sqlite_copies: SqliteCopies, postgres_copies: PostgresCopies) -> AsyncIterator[list[str]]:
    first, second = await sqlite_copies.migrated(), await postgres_copies.migrated()
    yield [first, second]
    await sqlite_copies.drop(first)
    await postgres_copies.drop(second)


@pytest.fixture
def machine(urls: list[str]) -> Iterator[type[Machine]]:
    """Its databases live in an event loop of their own: hypothesis runs its steps outside of any."""
    Machine.stores = Stores(urls)
    yield Machine
    Machine.stores.close()


@pytest.fixture
def quick_machine(urls: list[str]) -> Iterator[type[Machine]]:
    """On SQLite alone: a bug is found there as well, in less time."""
    Machine.stores = Stores(urls[:1])
    yield Machine
    Machine.stores.close()


SCRIPTS = settings(
    max_examples=15,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_databases_and_dictionaries_agree(machine: type[Machine]) -> None:
    run_state_machine_as_test(machine, settings=SCRIPTS)


async def _replay_burns_a_position(self: MessageRepository, *args: Any, **kwargs: Any) -> Any:
    record = await APPEND(self, *args, **kwargs)
    await self._update(record.conversation_id, last_position=record.position + (record.position == 1))
    return record


async def _set_ignores_the_version(self: StateRepository, *args: Any, **kwargs: Any) -> Any:
    kwargs.pop("version")
    return await self.set(*args, **kwargs)


async def _recall_sees_every_conversation(self: MemoryRepository, *args: Any, **kwargs: Any) -> Any:
    kwargs.pop("conversation_id")
    return await RECALL(self, *args, **kwargs)


APPEND, RECALL = MessageRepository.append, MemoryRepository.recall

BUGS = {
    "a position too many": (MessageRepository, "append", _replay_burns_a_position),
    "compare-and-set without comparing": (StateRepository, "compare_and_set", _set_ignores_the_version),
    "recall without its filter": (MemoryRepository, "recall", _recall_sees_every_conversation),
}


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(quick_machine: type[Machine], monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    monkeypatch.setattr(*BUGS[bug])
    found = settings(SCRIPTS, max_examples=300, phases=[Phase.generate], report_multiple_bugs=False, print_blob=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(quick_machine, settings=found)
