"""What docs/group-write.md shows runs, on both databases."""

import asyncio
import re
import textwrap
import types
from pathlib import Path

from database import Database
from repositories import MessageWriter, UnitOfWork

PAGE = (Path(__file__).parents[1] / "docs/group-write.md").read_text("utf-8")


async def test_its_example(fresh_database: Database) -> None:
    async with UnitOfWork(fresh_database, owner_id="ada") as uow:
        talk = await uow.conversations.create(title="x")
    found = re.search(r"<!-- writer -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    names: dict[str, object] = {"MessageWriter": MessageWriter, "asyncio": asyncio}
    exec(f"async def run(database, talk):\n{textwrap.indent(found[1], '    ')}    return first, second", names)
    function = names["run"]
    assert isinstance(function, types.FunctionType)
    records = await function(fresh_database, talk)
    assert [(record.position, record.content) for record in records] == [(1, "One."), (2, "Two.")]
