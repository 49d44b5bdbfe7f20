"""What a schedule means, asked for as scripts write it: its kind as `type`, or as in GraphQL."""

from collections.abc import Mapping
from typing import Any

from domain.agents.changes import merged
from domain.kernel.errors import ValidationFailed
from domain.tasks.flat import (
    FLAT,
    is_flat,
    nested_schedule,
    refuse_both_forms,
    refuse_numbers,
)
from domain.tasks.preview import SchedulePreview, preview, unreadable


def preview_in_either_form(values: Mapping[str, Any], *, now_us: int) -> SchedulePreview:
    """Tell what a client's schedule means; what is wrong with it is named as the client did.

    A null asks for the default. Raises ValidationFailed for the other arguments.
    """
    given = merged({}, values)
    flat = {name: given.pop(name) for name in FLAT if name in given}
    others = {name: value for name, value in given.items() if name != "schedule"}
    # The other arguments are looked at first, with a schedule that is always right.
    preview({**others, "schedule": {"adhoc": {}}}, now_us=now_us)
    try:
        refuse_numbers({**given, **flat})
        if not is_flat(flat):
            return preview(given, now_us=now_us)
        refuse_both_forms(given)
        schedule = nested_schedule(flat)
    except ValidationFailed as error:
        return unreadable({"schedule": _as_written(flat)}, error.problems)
    return preview({**others, "schedule": schedule}, now_us=now_us)


def _as_written(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The cron schedule that may be in the values, in the place where GraphQL has it."""
    cron = flat.get("cron")
    form = "expression" if isinstance(cron, str) else "fields"
    return {"scheduled": {"cron": {form: cron}}}
