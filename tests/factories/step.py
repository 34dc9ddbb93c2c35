"""Steps, each at the next position of its run."""

from typing import Any

import factory
from sqlmodel.ext.asyncio.session import AsyncSession

from models import Run, Step
from tests.factories.base import AsyncFactory, Parent
from tests.factories.run import RunFactory


class StepFactory(AsyncFactory[Step]):
    class Meta:
        model = Step

    run_id = Parent(RunFactory)
    position = 1
    name = factory.Sequence(lambda n: f"step {n}")

    @classmethod
    async def prepare(cls, session: AsyncSession, fields: dict[str, Any]) -> dict[str, Any]:
        run = await session.get(Run, fields["run_id"], populate_existing=True)
        if run is not None:
            fields.setdefault("position", run.last_step_position + 1)
            run.last_step_position = max(run.last_step_position, fields["position"])
        return fields
