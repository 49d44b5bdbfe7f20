"""What a workspace used, reported."""

from enum import Enum
from typing import Self

from strawberry import ID, UNSET, Private, field

from domain.runs.usage import UsageLine
from domain.runs.usage import UsageReport as Report
from schema.agents import Agent
from schema.context import Info
from schema.declare import api_enum, api_input, api_type
from schema.ids import Kind
from schema.inputs import refers_to
from schema.relay import TimeRange
from schema.scalars import Moment, moment
from schema.steps import Usage
from schema.tasks import Task


@api_type
class UsageRow:
    """Use of one combination of dimensions; ungrouped dimensions are null."""

    model: str | None = field(description="Model as provider:name.")
    period: Moment | None = field(description="Start of the hour, day or month.")
    runs: int = field(description="Runs.")
    usage: Usage = field(description="Tokens, calls and money.")

    line: Private[UsageLine]

    @classmethod
    def of(cls, line: UsageLine) -> Self:
        """Show a line."""
        return cls(
            model=line.model,
            period=moment(line.period_us),
            runs=line.runs,
            usage=Usage.of(line.usage),
            line=line,
        )

    @field(description="Agent.")
    async def agent(self, info: Info) -> Agent | None:
        """Load it."""
        agent_id = self.line.agent_id
        row = None if agent_id is None else await info.context.loaders.agent(agent_id)
        return None if row is None else Agent.of(row)

    @field(description="Task.")
    async def task(self, info: Info) -> Task | None:
        """Load it, also once it is deleted: what it used stays used."""
        task_id = self.line.task_id
        row = None if task_id is None else await info.context.loaders.task_with_deleted(task_id)
        return None if row is None else Task.of(row)


@api_type
class UsageReport:
    """Use over a span."""

    total: Usage = field(description="Sum of all rows.")
    rows: list[UsageRow] = field(
        description="One row per combination of the grouped dimensions, in their order."
    )

    @classmethod
    def of(cls, report: Report) -> Self:
        """Show a report."""
        return cls(total=Usage.of(report.total), rows=[UsageRow.of(line) for line in report.lines])


@api_enum
class UsageDimension(Enum):
    """Dimension to group use by; at most one of HOUR, DAY and MONTH."""

    AGENT = "By agent."
    TASK = "By task."
    MODEL = "By model."
    HOUR = "By hour."
    DAY = "By day."
    MONTH = "By month."


def _by_day() -> list[UsageDimension]:
    return [UsageDimension.DAY]


@api_input
class UsageInput:
    """Use to report."""

    span: TimeRange | None = field(
        description="Span; absent means the last 30 days.", default=UNSET
    )
    group_by: list[UsageDimension] = field(description="Dimensions.", default_factory=_by_day)
    agent_id: ID | None = field(
        description="Only that of this agent.", default=UNSET, metadata=refers_to(Kind.AGENT)
    )
    task_id: ID | None = field(
        description="Only that of this task.", default=UNSET, metadata=refers_to(Kind.TASK)
    )
