"""When something is due: what words have said of it, and how a scheduling tool takes it.

Where words leave open when it is due, it says so instead of choosing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.kernel.zones import load_zone
from domain.models.offline.times_spoken import SpokenDay, SpokenTime

CRON_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class UnclearScheduleError(Exception):
    """The words leave open when it is due, or ask for what cron cannot do."""


@dataclass(slots=True, kw_only=True)
class When:
    """What the words say of when something is due."""

    start: int
    end: int = 0
    cron: str | None = None
    every_minutes: int | None = None
    """Rhythm within a day."""
    is_daily: bool = False
    weekdays: set[int] = field(default_factory=set[int])
    says_every: bool = False
    """True when a repetition was said, not only a day's name."""
    nth: str | None = None
    month_days: list[str] = field(default_factory=list[str])
    months: list[int] = field(default_factory=list[int])
    is_monthly: bool = False
    is_yearly: bool = False
    hours: tuple[int, int] | None = None
    minute: int | None = None
    times: list[SpokenTime] = field(default_factory=list[SpokenTime])
    days: list[SpokenDay] = field(default_factory=list[SpokenDay])
    part_of_day: str | None = None
    after_minutes: int | None = None
    zone: str | None = None
    instants: list[datetime] = field(default_factory=list[datetime])
    """Moments with their own offset."""
    unclear: str | None = None
    times_a_day: int | None = None
    """How often a day, where that was said instead of the times."""

    @property
    def repeats(self) -> bool:
        """True when it is due again and again."""
        return bool(
            self.cron
            or self.every_minutes
            or self.is_daily
            or self.says_every
            or self.nth
            or self.is_monthly
            or self.is_yearly
            or self.unclear
        )

    @property
    def has_substance(self) -> bool:
        """True when it says more than a place."""
        once = self.times or self.days or self.after_minutes or self.instants
        return self.repeats or bool(once)

    @property
    def is_precise(self) -> bool:
        """True when a repetition, a time of day or a span of time was said."""
        return self.repeats or bool(self.times or self.instants) or self.after_minutes is not None


def arguments_of(when: When, now: datetime) -> Mapping[str, Any]:
    """Arguments of a scheduling tool: cron and timezone, times, or in_minutes.

    Raises UnclearScheduleError with what would have to be said.
    """
    if when.unclear and (when.times_a_day is None or when.times_a_day != len(when.times)):
        raise UnclearScheduleError(when.unclear)
    if when.cron is not None:
        return {"cron": when.cron, **_zone_argument(when)}
    if when.after_minutes is not None:
        if when.repeats or when.times or when.days:
            raise UnclearScheduleError("it says both a span of time and a time")
        return {"in_minutes": when.after_minutes}
    if when.instants:
        if when.repeats or when.times or when.days:
            raise UnclearScheduleError("it says several times in different ways")
        if any(moment <= now for moment in when.instants):
            raise UnclearScheduleError("that moment is past")
        return {"times": [_written(moment) for moment in sorted(when.instants)]}
    if when.repeats or (when.month_days and not when.days):
        return {"cron": _cron_fields(when), **_zone_argument(when)}
    return {"times": _moments(when, now)}


def _zone_argument(when: When) -> Mapping[str, str]:
    return {} if when.zone is None else {"timezone": when.zone}


def _cron_fields(when: When) -> str:
    minute, hour = _clock_fields(when)
    day, month, weekday = "*", "*", "*"
    if when.month_days:
        day = ",".join(when.month_days)
    elif when.is_monthly and not when.nth:
        raise UnclearScheduleError("it does not say on which day of the month")
    if when.months:
        month = ",".join(str(each) for each in dict.fromkeys(when.months))
    if when.is_yearly and not (when.month_days and when.months):
        raise UnclearScheduleError("it does not say on which day of the year")
    if when.nth:
        weekday = when.nth
    elif when.weekdays:
        weekday = _weekday_field(when.weekdays)
        if when.month_days:
            raise UnclearScheduleError("it says both days of the month and days of the week")
    return f"{minute} {hour} {day} {month} {weekday}"


def _weekday_field(days: set[int]) -> str:
    places = sorted(days)
    is_row = len(places) > 2 and places == list(range(places[0], places[-1] + 1))
    if is_row:
        return f"{CRON_DAYS[places[0]]}-{CRON_DAYS[places[-1]]}"
    return ",".join(CRON_DAYS[place] for place in places)


def _clock_fields(when: When) -> tuple[str, str]:
    """The minute and the hour field."""
    if when.every_minutes is not None:
        if when.times:
            return _rhythm_with_time(when)
        return _rhythm(when.every_minutes, when.hours, when.minute)
    times = _clock_times(when)
    if not times:
        raise UnclearScheduleError("it does not say at what time of day")
    minutes = {minute for _, minute in times}
    if len(minutes) > 1:
        raise UnclearScheduleError(
            "one schedule cannot be due at different minutes of different hours; make two"
        )
    hours = ",".join(str(hour) for hour in sorted({hour for hour, _ in times}))
    return str(minutes.pop()), hours


def _rhythm_with_time(when: When) -> tuple[str, str]:
    """An hourly rhythm may say its minute as a time, such as "every hour at 0:15"."""
    first = when.times[0].time
    if when.every_minutes == 60 and len(when.times) == 1 and first.hour == 0:
        return str(first.minute), "*"
    raise UnclearScheduleError("it says both a rhythm and a time of day")


def _rhythm(minutes: int, hours: tuple[int, int] | None, minute: int | None) -> tuple[str, str]:
    among = "*" if hours is None else f"{hours[0]}-{hours[1]}"
    if minutes < 60:
        if 60 % minutes:
            raise UnclearScheduleError(
                f"every {minutes} minutes does not divide an hour evenly; "
                "5, 6, 10, 12, 15, 20 and 30 do"
            )
        if hours is not None and hours[1] > hours[0]:
            among = f"{hours[0]}-{hours[1] - 1}" if hours[1] - 1 > hours[0] else str(hours[0])
        return "*" if minutes == 1 else f"*/{minutes}", among
    if minutes % 60 or 24 % (minutes // 60):
        raise UnclearScheduleError(
            "that rhythm does not divide a day evenly; 1, 2, 3, 4, 6, 8 and 12 hours do"
        )
    step = minutes // 60
    if step > 1:
        among = f"*/{step}" if hours is None else f"{among}/{step}"
    return str(minute or 0), among


def _clock_times(when: When) -> list[tuple[int, int]]:
    """Hours and minutes; "every evening at 8" means 20:00."""
    found: list[tuple[int, int]] = []
    for spoken in when.times:
        hour = spoken.time.hour
        late = when.part_of_day in ("evening", "afternoon") or (
            when.part_of_day == "night" and hour >= 5
        )
        if not spoken.is_sure and late and 1 <= hour < 12:
            hour += 12
        found.append((hour, spoken.time.minute))
    return found


def _moments(when: When, now: datetime) -> Sequence[str]:
    """Moments with their offset, none of them past."""
    zone = load_zone(when.zone or "UTC")
    local = now.astimezone(zone)
    times = _clock_times(when)
    if not times:
        raise UnclearScheduleError("it does not say at what time of day")
    found: list[datetime] = []
    for hour, minute in times:
        for day in when.days or [None]:
            at = local.date() if day is None else day.of(local.date())
            if at is None:
                raise UnclearScheduleError("there is no such day")
            moment = datetime(at.year, at.month, at.day, hour, minute, tzinfo=zone)
            # Through UTC, so that a time which the zone's clocks skip becomes a real one.
            moment = moment.astimezone(UTC).astimezone(zone)
            if day is None and moment <= now:
                following = at + timedelta(days=1)
                moment = moment.replace(
                    year=following.year, month=following.month, day=following.day
                )
            if moment <= now:
                raise UnclearScheduleError("that moment is past")
            found.append(moment)
    return [_written(moment) for moment in sorted(found)]


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
