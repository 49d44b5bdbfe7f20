"""What a schedule means before a task is made of it: its times, and its surprises. Pure."""

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, cast

from pydantic import Field

from domain.kernel.errors import FieldProblem, ValidationFailed
from domain.kernel.moments import EPOCH, MICROSECOND, SECOND_US, Instant
from domain.kernel.validation import ClientModel, Whole, validated
from domain.tasks.cron import FIELD_NAMES, CronTimes, NeverDueError, ScheduleError, cron_times
from domain.tasks.schedule import Adhoc, Cron, Planned, Schedule, upcoming
from domain.tasks.schedule_spec import UTC_ZONE, ScheduleSpec
from domain.tasks.wording import summary

MOST_SHOWN = 100
LIKELY_RUN_S = 300
"""What a run may well take; times closer than this meet a run at work."""
DAYS_AHEAD = 400
YEARS_AHEAD = 9
"""Long enough to meet the eight years without a 29 February around 2100."""
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


class WarningCode(StrEnum):
    """What is surprising about a schedule."""

    DST_SKIPPED = "DST_SKIPPED"
    DST_REPEATED = "DST_REPEATED"
    NEVER_DUE = "NEVER_DUE"
    IRREGULAR = "IRREGULAR"
    TOO_FREQUENT = "TOO_FREQUENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleWarning:
    """A surprise; `at_us` is when it happens first, None when always."""

    code: WarningCode
    message: str
    at_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePreview:
    """What a schedule means; `problems` say why it is none."""

    summary: str
    times: Sequence[int] = ()
    warnings: Sequence[ScheduleWarning] = ()
    problems: Sequence[FieldProblem] = ()


class PreviewSpec(ClientModel):
    """A schedule to look at, and how far."""

    schedule: ScheduleSpec
    count: Annotated[Whole, Field(ge=1, le=MOST_SHOWN)] = 5
    after: Instant | None = None


def preview(values: Mapping[str, Any], *, now_us: int) -> SchedulePreview:
    """Tell what a client's schedule means. Raises ValidationFailed for the other arguments."""
    try:
        spec = validated(PreviewSpec, values)
    except ValidationFailed as error:
        if any(problem.path[:1] != ("schedule",) for problem in error.problems):
            raise
        return unreadable(values, error.problems)
    schedule = spec.schedule.schedule()
    after_us = now_us if spec.after is None else spec.after
    times = upcoming(schedule, after_us=after_us, count=spec.count)
    return SchedulePreview(
        summary=summary(schedule),
        times=times,
        warnings=list(_warnings(schedule, after_us)),
    )


def unreadable(values: Mapping[str, Any], problems: Sequence[FieldProblem]) -> SchedulePreview:
    """Tell why what a client sent is no schedule; one that is never due is warned of as well."""
    try:
        cron_times(_expression_in(values), UTC_ZONE)
    except NeverDueError as error:
        warning = ScheduleWarning(code=WarningCode.NEVER_DUE, message=str(error))
        return SchedulePreview(summary="Never due", warnings=[warning], problems=problems)
    except ScheduleError:
        pass
    return SchedulePreview(summary="No schedule", problems=problems)


def _expression_in(values: Mapping[str, Any]) -> str:
    """Return the cron expression that a client sent in whatever form, empty where there is none."""
    found: object = values
    for name in ("schedule", "scheduled", "cron"):
        found = cast("Mapping[str, object]", found).get(name) if _is_object(found) else None
    if not _is_object(found):
        return ""
    cron = cast("Mapping[str, object]", found)
    fields = cron.get("fields")
    if _is_object(fields):
        given = cast("Mapping[str, object]", fields)
        return " ".join(str(given.get(name, "*")) for name in FIELD_NAMES)
    return str(cron.get("expression") or "")


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)


def _warnings(schedule: Schedule, after_us: int) -> Iterator[ScheduleWarning]:
    match schedule:
        case Adhoc():
            return
        case Planned(times=times):
            yield from _planned_warnings(times, after_us)
        case Cron(expression=expression, timezone=timezone):
            times = cron_times(expression, timezone)
            if times.next_after(after_us) is None:
                yield _never("No due time lies ahead.")
                return
            after = EPOCH + after_us * MICROSECOND
            yield from _clock_changes(times, after)
            yield from _empty_months(times, after)
            yield from _crowded(times)


def _planned_warnings(times: Sequence[int], after_us: int) -> Iterator[ScheduleWarning]:
    if times[-1] <= after_us:
        yield _never("All of these times have passed.")
        return
    for earlier, later in pairwise(times):
        if earlier > after_us and later - earlier < LIKELY_RUN_S * SECOND_US:
            yield _often(f"{(later - earlier) // SECOND_US} seconds", earlier)
            return


def _never(message: str) -> ScheduleWarning:
    return ScheduleWarning(code=WarningCode.NEVER_DUE, message=message)


def _often(gap: str, at_us: int | None) -> ScheduleWarning:
    message = (
        f"Two times are only {gap} apart; where a run takes longer, the overlap policy decides."
    )
    return ScheduleWarning(code=WarningCode.TOO_FREQUENT, message=message, at_us=at_us)


def _clock_changes(times: CronTimes, after: datetime) -> Iterator[ScheduleWarning]:
    """The first time that is jumped over and the first that comes twice; intervals have none."""
    if times.counts_intervals:
        return
    told: set[WarningCode] = set()
    for change, before, later in _changes(times, after):
        found = _at_change(times, change, before, later)
        if found is not None and found.code not in told:
            told.add(found.code)
            yield found


def _changes(times: CronTimes, after: datetime) -> Iterator[tuple[datetime, timedelta, timedelta]]:
    """Changes of the clock within a good year: the instant, the offset before, the one after."""
    before = times.offset_at(after)
    for days in range(1, DAYS_AHEAD):
        try:
            instant = after.replace(microsecond=0) + days * _DAY
            later = times.offset_at(instant)
        except OverflowError:
            return
        if later != before:
            yield times.jump_before(instant, _DAY), before, later
            before = later


def _at_change(
    times: CronTimes, change: datetime, before: timedelta, later: timedelta
) -> ScheduleWarning | None:
    first, last = sorted((change + before, change + later))
    wall = next(times.walls((first - _SECOND).replace(tzinfo=None)), None)
    if wall is None or wall >= last.replace(tzinfo=None):
        return None
    day = f"On {wall:%Y-%m-%d} the clock"
    instant = times.first_instant(wall)
    at_us = (instant - EPOCH) // MICROSECOND
    if later > before:
        ran = instant.astimezone(times.zone)
        message = f"{day} jumps over {wall:%H:%M}; it runs at {ran:%H:%M} instead."
        return ScheduleWarning(code=WarningCode.DST_SKIPPED, message=message, at_us=at_us)
    message = f"{day} shows {wall:%H:%M} twice; it runs the first time only."
    return ScheduleWarning(code=WarningCode.DST_REPEATED, message=message, at_us=at_us)


def _empty_months(times: CronTimes, after: datetime) -> Iterator[ScheduleWarning]:
    """The first month named by the expression that has no due time."""
    if _is_monthly(times):
        return
    months = range(1, 13) if list(times.fields[3]) == ["*"] else [int(m) for m in times.fields[3]]
    local = after.astimezone(times.zone)
    for year in range(local.year, local.year + YEARS_AHEAD):
        for month in months:
            begins = datetime(year, month, 1)  # noqa: DTZ001 - a wall-clock time
            if begins <= local.replace(tzinfo=None):
                continue
            found = next(times.walls(begins - _SECOND), None)
            if found is None or (found.year, found.month) != (year, month):
                yield ScheduleWarning(
                    code=WarningCode.IRREGULAR,
                    message=f"{begins:%B %Y} has no such day, so nothing is due in it."
                    f"{_far_ahead(times, after)}",
                    at_us=(times.first_instant(begins) - EPOCH) // MICROSECOND,
                )
                return


def _far_ahead(times: CronTimes, after: datetime) -> str:
    """Say when it is due at all, where nobody would wait for it."""
    found = times.next_after((after - EPOCH) // MICROSECOND)
    if found is None or EPOCH + found * MICROSECOND <= after + DAYS_AHEAD * _DAY:
        return ""
    return f" The first due time is on {EPOCH + found * MICROSECOND:%Y-%m-%d}."


def _is_monthly(times: CronTimes) -> bool:
    """True where every month must have such a day: most schedules, told without a search."""
    days, weekdays = list(times.fields[2]), list(times.fields[4])
    if times.walker.nth_weekday_of_month or times.walker.nearest_weekday:
        return False
    if weekdays != ["*"] or days == ["*"] or "l" in days:
        return True
    return any(int(day) <= monthrange(2026, 2)[1] for day in days)


def _crowded(times: CronTimes) -> Iterator[ScheduleWarning]:
    """Tell of minutes that lie too close together."""
    minutes = _numbers(times.fields[0], 60)
    hours = _numbers(times.fields[1], 24)
    gaps = [later - earlier for earlier, later in pairwise(minutes)]
    if any((hour + 1) % 24 in hours for hour in hours):
        gaps.append(minutes[0] + 60 - minutes[-1])
    if gaps and min(gaps) * 60 < LIKELY_RUN_S:
        noun = "minute" if min(gaps) == 1 else "minutes"
        yield _often(f"{min(gaps)} {noun}", None)


def _numbers(values: Sequence[int | str], whole: int) -> list[int]:
    if list(values) == ["*"]:
        return list(range(whole))
    return sorted(int(value) for value in values)
