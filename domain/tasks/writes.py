"""Statements that save tasks and occurrences, and the events that tell of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from domain.events.records import EventDraft
from domain.kernel.database import Statement, placeholders
from domain.runs.work import dumps
from domain.tasks import schedule
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.schedule_spec import ScheduleSpec
from domain.tasks.spec import TaskSettings
from domain.tasks.state import TaskChange

TASK_UPDATE = "TaskUpdate"
SECOND_US = 1_000_000
LONGEST_REASON = 1000

_OCCURRENCE = (
    *("id", "workspace_id", "task_id", "trigger", "scheduled_for", "status", "reason"),
    *("inputs", "run_id", "attempts", "due_at", "created_at", "finished_at"),
)


def columns_of(settings: TaskSettings, agent_id: str) -> dict[str, Any]:
    """Return a task's settings as the columns of its row."""
    due = settings.schedule.schedule()
    plain = settings.model_dump(
        mode="json",
        exclude={"agent", "schedule", "retry", "inputs", "metadata"},
        include=set(TaskSettings.model_fields),
    )
    return {
        **plain,
        "agent_id": agent_id,
        "inputs": dumps(settings.inputs),
        "metadata": dumps(settings.metadata),
        "schedule_kind": due.kind.value,
        "schedule": dumps(schedule.stored(due)),
        "retry": dumps(settings.retry.model_dump(mode="json", by_alias=True)),
    }


def settings_of(row: TaskRow, *, due: schedule.Schedule | None = None) -> TaskSettings:
    """Return a task's row as the settings that a client would send for it.

    With `due`, that stands for a schedule that cannot be read. Raises ScheduleError and pydantic's
    ValidationError for a row that nobody could have saved.
    """
    kept = {
        name: getattr(row, name)
        for name in TaskSettings.model_fields
        if name not in ("agent", "schedule")
    }
    asked = ScheduleSpec.of(due or schedule.read(row.schedule))
    return TaskSettings.model_validate({**kept, "agent": {"id": row.agent_id}, "schedule": asked})


def insert_task(values: Mapping[str, Any]) -> Statement:
    """Insert a row of these columns."""
    marks = placeholders(1, len(values))
    sql = f"INSERT INTO task ({', '.join(values)}) VALUES ({marks})"
    return Statement(sql, tuple(values.values()))


def update_task(task_id: str, values: Mapping[str, Any]) -> Statement:
    """Change columns of a task that is not deleted; refused when it is."""
    columns = ", ".join(f"{name} = ${place}" for place, name in enumerate(values, 2))
    sql = f"UPDATE task SET {columns} WHERE id = $1 AND deleted_at IS NULL RETURNING id"
    return Statement(sql, (task_id, *values.values()), must_match=True)


def insert_occurrences(rows: Sequence[OccurrenceRow]) -> Statement:
    """Insert rows and return the ids of those that were not there yet (DESIGN, I8)."""
    width = len(_OCCURRENCE)
    marks = [f"({placeholders(1 + place * width, width)})" for place in range(len(rows))]
    sql = (
        f"INSERT INTO occurrence ({', '.join(_OCCURRENCE)}) VALUES {', '.join(marks)}"
        " ON CONFLICT DO NOTHING RETURNING id"
    )
    return Statement(sql, [_value(row, name) for row in rows for name in _OCCURRENCE])


def update_occurrence(row: OccurrenceRow) -> Statement:
    """Save what may change of a row."""
    sql = (
        "UPDATE occurrence SET status = $2, reason = $3, run_id = $4, attempts = $5, due_at = $6,"
        " finished_at = $7 WHERE id = $1"
    )
    names = ("id", "status", "reason", "run_id", "attempts", "due_at", "finished_at")
    return Statement(sql, [_value(row, name) for name in names])


def _value(row: OccurrenceRow, name: str) -> Any:
    value = getattr(row, name)
    return dumps(value) if name == "inputs" and value is not None else value


def told(
    change: TaskChange, task_id: str, *, occurrence_id: str | None, trace_id: str, now_us: int
) -> EventDraft:
    """Return the event that tells of a change."""
    data = {"change": change, "taskId": task_id, "occurrenceId": occurrence_id}
    return EventDraft(TASK_UPDATE, orjson.dumps(data).decode(), trace_id, now_us)
