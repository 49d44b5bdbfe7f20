"""What a workspace used: tokens, calls and money by agent, task, model and time.

Read from the steps of runs, so that it is the sum of what runs say of themselves. A run counts
in the period in which it was created, a step in the one in which it began; periods are in UTC.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from domain.access.scopes import Principal, Scope
from domain.kernel.database import Database, Row
from domain.kernel.errors import ValidationFailed
from domain.kernel.moments import EPOCH, MICROSECOND, Instant
from domain.kernel.ports import Clock
from domain.kernel.validation import ClientModel, Text, validated
from domain.runs.state import StepKind, StepStatus
from domain.runs.work import RunUsage

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
USUAL_SPAN_US = 30 * DAY_US
MOST_ROWS = 5000
"""Rows of a report."""

COUNTED = f"""
run_step.status <> '{StepStatus.REUSED}' AND (run_step.kind <> '{StepKind.MODEL_CALL}'
    OR run_step.input_tokens IS NOT NULL)
"""
"""Steps that count: calls of tools once they are asked for, those of models once they are made."""

SUMS = f"""
CAST(sum(COALESCE(run_step.input_tokens, 0)) AS BIGINT),
CAST(sum(COALESCE(run_step.output_tokens, 0)) AS BIGINT),
CAST(sum(COALESCE(run_step.cached_tokens, 0)) AS BIGINT),
CAST(sum(COALESCE(run_step.reasoning_tokens, 0)) AS BIGINT),
CAST(sum(CASE WHEN run_step.kind = '{StepKind.MODEL_CALL}' THEN 1 ELSE 0 END) AS BIGINT),
CAST(sum(CASE WHEN run_step.kind = '{StepKind.TOOL_CALL}' THEN 1 ELSE 0 END) AS BIGINT),
CAST(sum(COALESCE(run_step.cost_pico_usd, 0)) AS BIGINT),
min(CASE WHEN run_step.kind = '{StepKind.MODEL_CALL}' AND run_step.cost_pico_usd IS NULL
    THEN 0 ELSE 1 END)
"""
"""What steps used, in the order of RunUsage."""

MODEL_OF_STEP = f"""
CASE WHEN run_step.kind = '{StepKind.MODEL_CALL}' THEN run_step.provider || ':' || run_step.name
ELSE (
    SELECT asker.provider || ':' || asker.name FROM run_step AS asker
    WHERE asker.run_id = run_step.run_id AND asker.kind = '{StepKind.MODEL_CALL}'
        AND asker.position < run_step.position ORDER BY asker.position DESC LIMIT 1
) END
"""
"""A tool's call belongs to the model that asked for it."""

MODEL_OF_RUN = """
(SELECT first.provider || ':' || first.name FROM run_step AS first
 WHERE first.run_id = run.id AND first.position = 1)
"""


class UsageDimension(StrEnum):
    """What use is grouped by."""

    AGENT = "AGENT"
    TASK = "TASK"
    MODEL = "MODEL"
    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"


PERIODS = (UsageDimension.HOUR, UsageDimension.DAY, UsageDimension.MONTH)


class UsageSpan(ClientModel):
    """Half-open span of time."""

    since: Instant | None = None
    until: Instant | None = None


class UsageSpec(ClientModel):
    """Use to report."""

    span: UsageSpan | None = None
    group_by: Annotated[tuple[UsageDimension, ...], Field(max_length=20)] = (UsageDimension.DAY,)
    agent_id: Text | None = None
    task_id: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLine:
    """Use of one combination of dimensions; those that are not grouped are None."""

    agent_id: str | None = None
    task_id: str | None = None
    model: str | None = None
    period_us: int | None = None
    runs: int = 0
    usage: RunUsage = field(default_factory=RunUsage)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """Use over a span, line by line, and the sum of all lines."""

    total: RunUsage
    lines: Sequence[UsageLine]


class UsageReports:
    """Reports on the caller's workspace."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def report(self, principal: Principal, values: Mapping[str, Any]) -> UsageReport:
        """Sum up use. Raises ValidationFailed, also for more rows than a report may have."""
        principal.needs(Scope.RUNS_READ)
        spec = validated(UsageSpec, values)
        groups = tuple(dict.fromkeys(spec.group_by))
        periods = [group for group in groups if group in PERIODS]
        if len(periods) > 1:
            named = " and ".join(periods)
            raise ValidationFailed.of("groupBy", f"Use one of HOUR, DAY and MONTH, not {named}.")
        query = _Query(principal.workspace_id, spec, groups, self._clock.now_us())
        found: dict[tuple[Any, ...], tuple[int, RunUsage]] = {}
        for key, row in query.keyed(await self._database.fetch(query.of_runs(), *query.args)):
            runs, usage = found.get(key, (0, RunUsage()))
            found[key] = (runs + row[0], usage)
        for key, row in query.keyed(await self._database.fetch(query.of_steps(), *query.args)):
            runs, usage = found.get(key, (0, RunUsage()))
            found[key] = (runs, summed([usage, usage_of(row)]))
        if len(found) > MOST_ROWS:
            raise _too_many()
        lines = [
            query.line(key, runs, usage)
            for key, (runs, usage) in sorted(found.items(), key=lambda item: _order(item[0]))
        ]
        return UsageReport(total=summed(line.usage for line in lines), lines=lines)


class _Query:
    """The two questions to the database that a report is made of."""

    def __init__(
        self, workspace_id: str, spec: UsageSpec, groups: Sequence[UsageDimension], now_us: int
    ) -> None:
        self._groups = groups
        self.args: list[Any] = [workspace_id]
        self._conditions: list[str] = []
        span = spec.span or UsageSpan(since=now_us - USUAL_SPAN_US)
        if span.since is not None and span.until is not None and span.since >= span.until:
            raise ValidationFailed.of("span.until", "Give a moment after since.")
        self._narrow("{at} >=", span.since)
        self._narrow("{at} <", span.until)
        self._narrow("run.agent_id =", spec.agent_id)
        self._narrow("run.task_id =", spec.task_id)

    def _narrow(self, condition: str, value: object) -> None:
        if value is not None:
            self.args.append(value)
            self._conditions.append(f" AND {condition} ${len(self.args)}")

    def of_runs(self) -> str:
        """Count runs."""
        groups = self._columns("run.created_at", MODEL_OF_RUN)
        return f"""
            SELECT {groups}count(*) FROM run
            WHERE run.workspace_id = $1{self._where("run.created_at")}{self._grouping()}
        """

    def of_steps(self) -> str:
        """Sum up what steps used."""
        groups = self._columns("run_step.started_at", MODEL_OF_STEP)
        return f"""
            SELECT {groups}{SUMS} FROM run_step JOIN run ON run.id = run_step.run_id
            WHERE run_step.workspace_id = $1 AND {COUNTED}
            {self._where("run_step.started_at")}{self._grouping()}
        """

    def _columns(self, at: str, model: str) -> str:
        columns = {
            UsageDimension.AGENT: "run.agent_id",
            UsageDimension.TASK: "run.task_id",
            UsageDimension.MODEL: model,
            UsageDimension.HOUR: f"{at} / {HOUR_US}",
            UsageDimension.DAY: f"{at} / {DAY_US}",
            UsageDimension.MONTH: f"{at} / {DAY_US}",
        }
        return "".join(f"{columns[group]}, " for group in self._groups)

    def _where(self, at: str) -> str:
        return "".join(self._conditions).format(at=at)

    def _grouping(self) -> str:
        # A month is folded from its days, of which there are at most 31.
        most = MOST_ROWS * (31 if UsageDimension.MONTH in self._groups else 1)
        places = ", ".join(str(place) for place in range(1, len(self._groups) + 1))
        return f" GROUP BY {places} LIMIT {most + 1}" if places else ""

    def keyed(self, rows: Sequence[Row]) -> Iterable[tuple[tuple[Any, ...], Row]]:
        """Split rows into what they are grouped by and what was summed up."""
        count = len(self._groups)
        for row in rows:
            if row[count] is not None:
                pairs = zip(self._groups, row[:count], strict=True)
                yield tuple(_value(group, value) for group, value in pairs), row[count:]

    def line(self, key: tuple[Any, ...], runs: int, usage: RunUsage) -> UsageLine:
        """Name the parts of a key."""
        named = {
            "period_us" if group in PERIODS else _NAMES[group]: value
            for group, value in zip(self._groups, key, strict=True)
        }
        return UsageLine(**named, runs=runs, usage=usage)


_NAMES = {
    UsageDimension.AGENT: "agent_id",
    UsageDimension.TASK: "task_id",
    UsageDimension.MODEL: "model",
}


def _value(group: UsageDimension, value: Any) -> Any:
    if group is UsageDimension.HOUR:
        return value * HOUR_US
    if group is UsageDimension.DAY:
        return value * DAY_US
    return month_start(value * DAY_US) if group is UsageDimension.MONTH else value


def month_start(moment_us: int) -> int:
    """The first moment of a month in UTC, given any of it."""
    moment = EPOCH + timedelta(microseconds=moment_us)
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first - EPOCH) // MICROSECOND


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """By the dimensions in their order; what has none comes last."""
    return tuple((value is None, 0 if value is None else value) for value in key)


def usage_of(sums: Sequence[int]) -> RunUsage:
    """Read a row of SUMS."""
    *counts, cost_known = sums
    return RunUsage(*counts, cost_known=bool(cost_known))


def summed(usages: Iterable[RunUsage]) -> RunUsage:
    """Add up; one unknown price makes the sum unknown."""
    total = RunUsage()
    for usage in usages:
        total.input_tokens += usage.input_tokens
        total.output_tokens += usage.output_tokens
        total.cached_tokens += usage.cached_tokens
        total.reasoning_tokens += usage.reasoning_tokens
        total.model_calls += usage.model_calls
        total.tool_calls += usage.tool_calls
        total.cost_pico_usd += usage.cost_pico_usd
        total.cost_known = total.cost_known and usage.cost_known
    return total


def _too_many() -> ValidationFailed:
    return ValidationFailed.of(
        "groupBy",
        f"The report has more than {MOST_ROWS} rows; group by less, or give a shorter span.",
    )
