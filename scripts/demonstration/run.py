"""The demo's run: what an agent would note of its work. No model is asked, so tokens and prices are made up."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from database import Database
from repositories import UnitOfWork
from scripts.demonstration.recall import Answer
from scripts.import_records import stable_uuid

INPUT_PRICE, OUTPUT_PRICE = Decimal("0.00000015"), Decimal("0.0000006")
"""Dollars a token."""

REPLY_TOKENS = 57


@dataclass(frozen=True, slots=True)
class RecordedStep:
    position: int
    name: str
    kind: str | None
    status: str


@dataclass(frozen=True, slots=True)
class RecordedRun:
    id: UUID
    actor: str
    status: str
    steps: tuple[RecordedStep, ...]
    calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    seconds: float


async def record_run(database: Database, conversation_id: UUID, owner_id: str | None, answer: Answer) -> RecordedRun:
    """A run of two steps and two calls, of which the first failed; that of an earlier demo goes before it."""
    id = stable_uuid("demo run", owner_id)
    prompt = [answer.question, *(hit.content for hit in answer.hits)]
    tokens = sum(len(text) // 4 + 1 for text in prompt)
    async with UnitOfWork(database, owner_id=owner_id) as uow:
        await uow.runs.delete(id)
        run = await uow.runs.save(
            id=id,
            actor="demo",
            owner_id=owner_id,
            conversation_id=conversation_id,
            request_payload={"question": answer.question},
        )
        await uow.runs.start(run.id)
        step = await uow.runs.add_step(run.id, name="recall", kind="memory", input_data={"limit": len(answer.hits)})
        await uow.steps.start(step.id)
        await uow.steps.finish(step.id, "succeeded", output_data={"hits": len(answer.hits), "exact": answer.exact})
        step = await uow.runs.add_step(run.id, name="reply", kind="model")
        await uow.steps.start(step.id)
        await uow.runs.add_llm_call(
            run.id,
            step_id=step.id,
            conversation_id=conversation_id,
            provider="nobody",
            model="made-up-small",
            latency_ms=2_000,
            error="timed out",
        )
        await uow.runs.add_llm_call(
            run.id,
            step_id=step.id,
            conversation_id=conversation_id,
            provider="nobody",
            model="made-up-small",
            input_tokens=tokens,
            output_tokens=REPLY_TOKENS,
            cost_usd=tokens * INPUT_PRICE + REPLY_TOKENS * OUTPUT_PRICE,
            latency_ms=640,
        )
        await uow.steps.finish(step.id, "succeeded")
        run = await uow.runs.finish(run.id, "succeeded", result={"used": len(answer.hits)})
        stats = await uow.runs.stats(run.id)
        steps = await uow.runs.steps(run.id)
    return RecordedRun(
        run.id,
        run.actor,
        run.status,
        tuple(RecordedStep(step.position, step.name, step.kind, step.status) for step in steps),
        stats.calls,
        stats.errors,
        stats.input_tokens,
        stats.output_tokens,
        stats.cost_usd,
        stats.duration.total_seconds(),
    )
