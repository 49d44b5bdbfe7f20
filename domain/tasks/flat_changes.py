"""Changes of a task as scripts write them: the schedule beside the other fields."""

from collections.abc import Mapping
from typing import Any

from domain.agents.changes import merged
from domain.kernel.errors import FieldProblem, ValidationFailed
from domain.tasks.flat import (
    FLAT,
    flat_schedule,
    in_flat_names,
    is_flat,
    nested_schedule,
    refuse_both_forms,
    refuse_numbers,
)
from domain.tasks.spec import TaskChanges, TaskSettings


def changes_of(values: Mapping[str, Any]) -> TaskChanges:
    """Take a client's values apart, a schedule in either form. Raises ValidationFailed."""
    refuse_numbers(values)
    if not is_flat(values):
        return TaskChanges.of(values)
    refuse_both_forms(values)
    schedule = {name: values[name] for name in FLAT if name in values}
    others = {name: value for name, value in values.items() if name not in FLAT}
    return FlatChanges.of({**others, "schedule": schedule})


class FlatChanges(TaskChanges):
    """Changes whose schedule is in the flat form, in which it may be changed in part.

    A kind that stays keeps what is absent; another kind begins from nothing.
    """

    __slots__ = ()

    def onto(self, settings: TaskSettings, *, now_us: int) -> TaskSettings:
        """Return the settings with the changes. Raises ValidationFailed in flat names."""
        problems: list[FieldProblem] = []
        values = {name: value for name, value in self.values.items() if name != "schedule"}
        try:
            values["schedule"] = nested_schedule(self._flat(settings))
        except ValidationFailed as error:
            problems += error.problems
        nested = TaskChanges(
            task_id=self.task_id, expected_version=self.expected_version, values=values
        )
        try:
            changed = nested.onto(settings, now_us=now_us)
        except ValidationFailed as error:
            raise ValidationFailed([*problems, *in_flat_names(error).problems]) from None
        if problems:
            raise ValidationFailed(problems)
        return changed

    def _flat(self, settings: TaskSettings) -> dict[str, Any]:
        given: Mapping[str, Any] = self.values["schedule"]
        before = flat_schedule(settings.schedule)
        return merged(before if given.get("type", before["type"]) == before["type"] else {}, given)
