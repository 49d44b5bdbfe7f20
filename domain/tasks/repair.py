"""Updates of a task's row, also of one that cannot be read: what they start from and put right."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from domain.kernel.moments import EARLIEST_US
from domain.kernel.rows import Unreadable
from domain.runs.work import dumps
from domain.tasks.reading import (
    Fault,
    faults_of,
    is_marked,
    refuse_unreadable,
    task_as_shown,
)
from domain.tasks.rows import TaskRow
from domain.tasks.schedule import Adhoc
from domain.tasks.spec import TaskChanges, TaskSettings
from domain.tasks.state import TaskStatus
from domain.tasks.writes import columns_of, settings_of

_TEXTS = ("name", "instruction")
_WHOLE = ("inputs", "metadata")
_TIMES = frozenset({"schedule", "startsAt", "endsAt"})
"""Cures of faults with which nobody can tell what is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A row that is about to be changed, and what is wrong with it: nearly always nothing."""

    row: TaskRow
    shown: TaskRow
    """As readers see it, but for what is due: that is kept where it can be told."""
    faults: Sequence[Fault]
    settings: TaskSettings
    """Its settings, with stand-ins for what is replaced."""
    changes: TaskChanges

    @classmethod
    def of(cls, row: TaskRow, changes: TaskChanges) -> Self:
        """Look at a row. Raises Conflict for faults that the changes leave as they are."""
        faults = faults_of(row)
        refuse_unreadable(row, [one for one in faults if one.cure not in changes.values])
        shown = task_as_shown(row)
        if _TIMES.isdisjoint(fault.cure for fault in faults):
            shown.next_run_at = row.next_run_at
        settings = _settings_before(shown, changes)
        texts = {name: getattr(row, name) for name in _TEXTS}
        changes = replace(changes, values={**texts, **changes.values})
        return cls(row=row, shown=shown, faults=faults, settings=settings, changes=changes)

    def changed(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns that differ from the row; those with a fault always do."""
        before = columns_of(self.settings, self.row.agent_id)
        before |= {name: getattr(self.row, name) for name in (*_TEXTS, "schedule_kind")}
        before |= {name: dumps(getattr(self.row, name)) for name in (*_WHOLE, "schedule")}
        for fault in self.faults:
            before.pop(fault.column, None)
            if fault.cure == "schedule":
                before.pop("schedule", None)
                before.pop("schedule_kind", None)
        return {
            name: value
            for name, value in columns.items()
            if name not in before or value != before[name]
        }

    def mended(self, now_us: int) -> dict[str, Any]:
        """Return what else is put right: a task that was held for its faults goes on."""
        is_held = is_marked(self.row)
        if not self.faults and not is_held:
            return {}
        columns = {fault.column for fault in self.faults}
        is_out_of_time = not columns.isdisjoint({"created_at", "next_run_at"})
        found: dict[str, Any] = {}
        if is_out_of_time and not EARLIEST_US <= self.row.created_at <= now_us:
            found["created_at"] = now_us
        for name in ("consecutive_failures", "started_runs"):
            if name in columns:
                found[name] = 0
        if is_held or self.row.status != TaskStatus.PAUSED:
            found |= {
                "status": TaskStatus.ACTIVE,
                "pause_reason": None,
                "paused_until": None,
                "consecutive_failures": 0,
            }
        return found


def _settings_before(row: TaskRow, changes: TaskChanges) -> TaskSettings:
    """Return the settings of a row; what is replaced need not be acceptable."""
    kept = copy(row)
    kept.name, kept.instruction = "task", "do it"
    for name in _WHOLE:
        if name in changes.values:
            setattr(kept, name, {})
    is_lost = isinstance(kept.schedule, Unreadable)
    try:
        return settings_of(kept, due=Adhoc() if is_lost else None)
    except ValidationError as error:
        found = [
            Fault(column=name, message=f"{detail['msg']}.", cure=to_camel(name))
            for detail in error.errors(include_url=False)
            for name in [str(detail["loc"][0])]
        ]
        refuse_unreadable(row, found)
        raise
