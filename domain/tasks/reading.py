"""Rows that nobody could have saved: what is wrong with them, and how they are shown.

A row may be damaged, or written by a later version. It is read all the same: what it does not
hold is replaced by a stand-in, and the reason says so, for a list must not fail for one of its
rows. The row stays as it is until somebody repairs it.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from pydantic.alias_generators import to_camel

from domain.agents.rows import AgentRow
from domain.agents.settings import AgentSettings
from domain.kernel.errors import Conflict, ObjectRef, ValidationFailed
from domain.kernel.moments import EARLIEST_US, LATEST_US
from domain.kernel.rows import Unreadable
from domain.kernel.validation import validated
from domain.tasks import schedule
from domain.tasks.cron import ScheduleError
from domain.tasks.rows import OccurrenceRow, TaskRow
from domain.tasks.spec import RetryPolicy, TaskFields
from domain.tasks.state import OccurrenceStatus, OccurrenceTrigger, TaskStatus

UNREADABLE = "The task cannot be read: "
"""How the reason begins by which a task is held that cannot be read."""
LONGEST_REASON = 1000
LARGEST_COUNT = 2**31 - 2
"""The largest that still can be raised by one on PostgreSQL."""
STEP_BACK_US = 86_400_000_000
"""How far a clock may go back after a task is made, for its due time to be understood."""
NOBODY = str(UUID(int=0))
"""Stands for an id that is none."""

_JSON = ("inputs", "metadata")
_TEXTS = ("name", "agent", "instruction")
_MOMENTS = ("starts_at", "ends_at")
_CHECKED_ALONE = frozenset({*_JSON, *_TEXTS, *_MOMENTS, "retry"})
_PLAIN = tuple(name for name in TaskFields.model_fields if name not in _CHECKED_ALONE)
_ANYTHING = {"name": "task", "agent": {"slug": "default"}, "instruction": "do it"}
_KINDS = frozenset(schedule.ScheduleKind)
_TASK_STATUSES = frozenset(TaskStatus)
_OCCURRENCE_STATUSES = frozenset(OccurrenceStatus)
_TRIGGERS = frozenset(OccurrenceTrigger)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A column that holds what nobody could have saved."""

    column: str
    message: str
    cure: str
    """Field of an update that replaces it."""


AGENT_GONE = Fault(column="agent_id", message="There is no such agent any more.", cure="agent")


def faults_of(row: TaskRow) -> Sequence[Fault]:
    """Return what is wrong with a task's row: nearly always nothing."""
    plain = tuple([getattr(row, name) for name in _PLAIN])
    return [
        *_schedule_faults(row),
        *(
            Fault(column=name, message=value.trouble, cure=name)
            for name in _JSON
            if isinstance(value := getattr(row, name), Unreadable)
        ),
        *_retry_faults(row.retry),
        *_plain_faults(plain),
        *_moment_faults(row),
        *_state_faults(row),
    ]


def reason_of(faults: Sequence[Fault]) -> str:
    """Say why a task is held, and what to do."""
    told = " ".join(f"{to_camel(fault.column)}: {fault.message}" for fault in faults)
    *others, last = dict.fromkeys(fault.cure for fault in faults)
    cure = f"{', '.join(others)} and {last}" if others else last
    ending = f" Send {cure} anew with updateTask, or delete it."
    return f"{UNREADABLE}{told}"[: LONGEST_REASON - len(ending)] + ending


def is_marked(row: TaskRow) -> bool:
    """True for a task that is held since it could not be read."""
    return row.status == TaskStatus.PAUSED and (row.pause_reason or "").startswith(UNREADABLE)


def held_by(row: TaskRow, faults: Sequence[Fault], now_us: int) -> dict[str, Any]:
    """Return the columns that mark a task with faults; none when it is held already."""
    reason = reason_of(faults)
    # Whoever holds it has the say on why.
    if row.status == TaskStatus.PAUSED and not (is_marked(row) and row.pause_reason != reason):
        return {}
    return {
        "status": TaskStatus.PAUSED,
        "pause_reason": reason,
        "paused_until": None,
        "updated_at": now_us,
    }


def refuse_unreadable(row: TaskRow, faults: Sequence[Fault]) -> None:
    """Raise Conflict for a task with faults."""
    if faults:
        raise Conflict(
            reason_of(faults), path=["taskId"], conflicting=ObjectRef(kind="Task", id=row.id)
        )


def task_as_shown(row: TaskRow) -> TaskRow:
    """Return the row itself, or of one that cannot be read a copy that says so.

    It is paused, never due, and has stand-ins where nothing can be read.
    """
    faults = faults_of(row)
    conversation_id = row.conversation_id
    lost = conversation_id is not None and not _is_uuid(conversation_id)
    if not faults and not lost:
        return row
    shown = copy(row)
    shown.conversation_id = None if lost else conversation_id
    for fault in faults:
        setattr(shown, fault.column, _stand_in(fault))
    if faults:
        shown.status, shown.pause_reason = TaskStatus.PAUSED.value, reason_of(faults)
        shown.next_run_at = None
    return shown


def agent_gone(agent_id: str) -> AgentRow:
    """Return what stands for the agent of a task whose agent is gone."""
    return AgentRow(
        id=agent_id,
        slug="gone",
        name="Gone",
        description=AGENT_GONE.message,
        settings=AgentSettings(name="Gone").stored(),
        version=1,
        created_at=0,
        updated_at=0,
        archived_at=0,
    )


def occurrence_as_shown(row: OccurrenceRow) -> OccurrenceRow:
    """Return the row itself, or of one that cannot be read a copy that says so."""
    faults = occurrence_faults(row)
    run_id = row.run_id
    lost = run_id is not None and not _is_uuid(run_id)
    if not faults and not lost:
        return row
    shown = copy(row)
    shown.run_id = None if lost else run_id
    for column in faults:
        setattr(shown, column, _OCCURRENCE_STAND_INS.get(column, 0))
    if faults:
        shown.reason = occurrence_trouble(faults)
    return shown


def occurrence_faults(row: OccurrenceRow) -> Mapping[str, str]:
    """Return what is wrong with the columns of an occurrence: nearly always nothing."""
    found: dict[str, str] = {}
    if row.trigger not in _TRIGGERS:
        found["trigger"] = f"{row.trigger[:40]!r} is no trigger."
    if row.status not in _OCCURRENCE_STATUSES:
        found["status"] = f"{row.status[:40]!r} is no status."
    if not _is_moment(row.scheduled_for):
        found["scheduled_for"] = f"{row.scheduled_for} is no moment."
    if isinstance(row.inputs, Unreadable):
        found["inputs"] = row.inputs.trouble
    return found


def occurrence_trouble(faults: Mapping[str, str]) -> str:
    """Say what is wrong with an occurrence."""
    told = " ".join(f"{to_camel(column)}: {message}" for column, message in faults.items())
    return f"The occurrence cannot be read: {told}"[:LONGEST_REASON]


_OCCURRENCE_STAND_INS: Mapping[str, Any] = {
    "trigger": OccurrenceTrigger.SCHEDULE.value,
    "status": OccurrenceStatus.FAILED.value,
    "inputs": None,
}
_STAND_INS: Mapping[str, Any] = {
    "agent_id": NOBODY,
    "retry": {},
    "status": TaskStatus.PAUSED.value,
    "version": 1,
    "consecutive_failures": 0,
    "started_runs": 0,
    "created_at": 0,
    "updated_at": 0,
}


def _stand_in(fault: Fault) -> Any:
    if fault.column == "schedule":
        return Unreadable(fault.message)
    if fault.column in _STAND_INS:
        return _STAND_INS[fault.column]
    field = TaskFields.model_fields.get(fault.column)
    return None if field is None else field.get_default(call_default_factory=True)


def _schedule_faults(row: TaskRow) -> list[Fault]:
    try:
        schedule.read(row.schedule)
    except ScheduleError as error:
        return [Fault(column="schedule", message=str(error), cure="schedule")]
    if row.schedule_kind in _KINDS:
        return []
    message = f"{row.schedule_kind[:40]!r} is no kind of schedule."
    return [Fault(column="schedule", message=message, cure="schedule")]


def _retry_faults(kept: dict[str, Any]) -> Sequence[Fault]:
    if isinstance(kept, Unreadable):
        return [Fault(column="retry", message=kept.trouble, cure="retry")]
    return _faults_of_retry(orjson.dumps(kept))


@lru_cache(maxsize=1024)
def _faults_of_retry(text: bytes) -> Sequence[Fault]:
    try:
        validated(RetryPolicy, orjson.loads(text))
    except ValidationFailed as error:
        return [Fault(column="retry", message=str(error), cure="retry")]
    return ()


@lru_cache(maxsize=4096)
def _plain_faults(values: tuple[object, ...]) -> Sequence[Fault]:
    """Check what many tasks have in common, once for all of them."""
    given = {to_camel(name): value for name, value in zip(_PLAIN, values, strict=True)}
    try:
        validated(TaskFields, {**_ANYTHING, **given})
    except ValidationFailed as error:
        named = {to_camel(name): name for name in _PLAIN}
        return [
            Fault(column=named[name], message=problem.message, cure=name)
            for problem in error.problems
            if (name := problem.path[0]) in named
        ]
    return ()


def _moment_faults(row: TaskRow) -> list[Fault]:
    cures = {"starts_at": "startsAt", "ends_at": "endsAt"}
    found = [
        Fault(column=name, message=f"{value} is no moment.", cure=cures.get(name, "schedule"))
        for name in ("starts_at", "ends_at", "next_run_at", "created_at", "updated_at")
        if (value := getattr(row, name)) is not None and not _is_moment(value)
    ]
    if found:
        return found
    starts_at, ends_at, next_run_at = row.starts_at, row.ends_at, row.next_run_at
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        found.append(Fault(column="ends_at", message="It is not after startsAt.", cure="endsAt"))
    if next_run_at is not None and next_run_at < row.created_at - STEP_BACK_US:
        message = "It lies before the task was created."
        found.append(Fault(column="next_run_at", message=message, cure="schedule"))
    return found


def _state_faults(row: TaskRow) -> list[Fault]:
    """Faults of what no client sets; a new schedule puts it right."""
    found: list[Fault] = []
    if row.status not in _TASK_STATUSES:
        message = f"{row.status[:40]!r} is no status."
        found.append(Fault(column="status", message=message, cure="schedule"))
    for name, least in (("version", 1), ("consecutive_failures", 0), ("started_runs", 0)):
        value = getattr(row, name)
        if not least <= value <= LARGEST_COUNT:
            message = f"{value} cannot be counted on."
            found.append(Fault(column=name, message=message, cure="schedule"))
    if not _is_uuid(row.agent_id):
        message = f"{row.agent_id[:40]!r} is no id."
        found.append(Fault(column="agent_id", message=message, cure="agent"))
    return found


def _is_moment(value: int) -> bool:
    return EARLIEST_US <= value <= LATEST_US


@lru_cache(maxsize=8192)
def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
