"""What runs and their calls took, summed by the database in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Self

import sqlalchemy as sa

from models import LLMCall, Run, RunStatus
from models.functions import Microseconds
from repositories.ownership import table_of

RUNS = table_of(Run)
CALLS = table_of(LLMCall)

TOKENS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")


@dataclass(frozen=True, slots=True)
class RunStats:
    """Sums over runs, and over calls of models; what is unknown (null) counts as nothing.

    `duration` is the time from start to finish of those runs that have both, one after the other; `latency_ms` that
    of the calls. `cached_tokens` are part of the input, `reasoning_tokens` of the output. `errors`: calls that failed.
    """

    runs: int
    pending: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    duration: timedelta
    calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal
    latency_ms: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From the row of `stats_statement`; the databases differ in how they type a sum."""
        sums: dict[str, Any] = {name: int(value or 0) for name, value in row.items()}
        sums["duration"] = timedelta(microseconds=sums["duration"])
        sums["cost_usd"] = row["cost_usd"] or Decimal(0)
        return cls(**sums)


def stats_statement(runs: Sequence[sa.ColumnElement[bool]], calls: Sequence[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    """One row with the columns of RunStats, over the runs and the calls that meet these conditions."""
    every = sa.func.count()
    took = Microseconds(RUNS.c.finished_at) - Microseconds(RUNS.c.started_at)
    r = (
        sa.select(
            every.label("runs"),
            *(every.filter(RUNS.c.status == status).label(status.value) for status in RunStatus),
            sa.func.sum(took).label("duration"),
        )
        .select_from(RUNS)
        .where(*runs)
        .subquery("r")
    )
    c = (
        sa.select(
            every.label("calls"),
            sa.func.count(CALLS.c.error).label("errors"),
            *(sa.func.sum(CALLS.c[name]).label(name) for name in (*TOKENS, "cost_usd", "latency_ms")),
        )
        .select_from(CALLS)
        .where(*calls)
        .subquery("c")
    )
    return sa.select(r, c).select_from(r.join(c, sa.true()))
