"""What docs/turns.md shows runs and does what it says, on both databases."""

import re
import textwrap
import types
from pathlib import Path

from database import Database
from models import Conversation
from repositories import UnitOfWork
from repositories.turn_verbs import NO_RESULT

PAGE = (Path(__file__).parents[1] / "docs/turns.md").read_text("utf-8")


async def run(name: str, database: Database, talk: Conversation) -> dict[str, object]:
    """The example of this name, its names afterwards."""
    found = re.search(rf"<!-- {name} -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, name
    names: dict[str, object] = {"UnitOfWork": UnitOfWork}
    body = textwrap.indent(found[1], "    ")
    exec(f"async def run(database, talk):\n{body}    return locals()", names)
    function = names["run"]
    assert isinstance(function, types.FunctionType)
    outcome: dict[str, object] = await function(database, talk)
    return outcome


async def test_its_examples(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        talk = await uow.conversations.create(title="x")
    await run("turn", fresh_database, talk)
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        assert await uow.states.mapping(talk.id) == {"city": "Oslo"}
        turn = await uow.messages.history(talk.id)
        assert [record.role for record in turn] == ["user", "assistant", "tool", "assistant"]
        await uow.messages.append(talk.id, role="assistant", content="", tool_calls=[{"id": "call_2"}])
    assert (await run("history", fresh_database, talk))["history"] == turn
    changed = (await run("close", fresh_database, talk))["changed"]
    assert isinstance(changed, list)
    assert [record.content for record in changed] == [NO_RESULT]
    assert (await run("history", fresh_database, talk))["history"] != turn


def test_it_tells_what_a_tool_says_without_a_result() -> None:
    assert NO_RESULT in PAGE.replace("\n", " ")
