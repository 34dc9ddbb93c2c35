"""The command that does all of it at full size: what it takes for a promise kept, and how it ends."""

import json
from dataclasses import replace

import pytest

from scripts.torture import plan
from scripts.torture.report import Row, not_run
from tests.scripts.conftest import Command

pytestmark = pytest.mark.faults

GOOD = Row("kill -9 a writer", "sqlite", rounds=20, hit=20, acknowledged=600, outage=3.0, kept=True)


@pytest.mark.parametrize(
    ("row", "passes"),
    [
        (GOOD, True),
        (replace(GOOD, kept=False), False),
        (replace(GOOD, hit=0), False),
        (replace(GOOD, acknowledged=99), False),
        (replace(GOOD, outage=30.1), False),
        (not_run("pgbouncer", "postgresql", "not installed"), None),
    ],
)
def test_what_is_a_promise_kept(row: Row, passes: bool | None) -> None:
    assert row.passes is passes


async def test_the_command_runs_a_fault_and_tells_it(command: Command) -> None:
    ran = await command("torture", "--minutes", "0.1", "--db", "sqlite", "--only", "storage", "--json")
    [row] = json.loads(ran.out)
    assert (row["fault"], row["database"], row["lost"], row["doubled"]) == ("full storage", "sqlite", 0, 0)
    assert row["acknowledged"] > 0
    assert row["kept"] is True
    assert ran.code == 0


async def test_nothing_run_is_nothing_kept(command: Command) -> None:
    ran = await command("torture", "--db", "sqlite", "--only", "no such fault")
    assert ran.code == 1


async def test_faults_of_a_fixed_number_come_first_and_the_others_share_the_time() -> None:
    given: list[tuple[str, float]] = []

    def fault(name: str, timed: bool) -> plan.Fault:
        async def run(seconds: float) -> Row:
            given.append((name, seconds))
            return replace(GOOD, fault=name)

        return plan.Fault(name, "sqlite", run, timed)

    faults = [fault("a", True), fault("b", False), fault("c", True)]
    rows = [row async for row in plan.in_turn(faults, 60)]
    assert [name for name, _ in given] == ["b", "a", "c"]
    assert [(place, row.fault) for place, row in rows] == [(1, "b"), (0, "a"), (2, "c")]
    assert plan.scale_of(1) == 1.0
    assert plan.scale_of(60) == 6.0
