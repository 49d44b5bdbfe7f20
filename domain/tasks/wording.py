"""Schedules in plain words. Pure."""

from collections.abc import Sequence
from datetime import UTC

from domain.kernel.moments import EPOCH, MICROSECOND
from domain.tasks.cron import CronTimes, cron_times
from domain.tasks.schedule import Adhoc, Cron, Planned, Schedule

MOST_CLOCK_TIMES = 6
MOST_DAYS = 4
"""Days of the month that are listed one by one even where they lie evenly."""
SHORTEST_MONTH = 28
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
ORDINALS = ("first", "second", "third", "fourth", "fifth")
Values = Sequence[int | str]


def summary(schedule: Schedule) -> str:
    """Say when a schedule is due, such as `At 09:00, Monday to Friday, Europe/Berlin`."""
    match schedule:
        case Adhoc(run_now=True):
            return "Once at once, then on demand"
        case Adhoc():
            return "On demand"
        case Planned(times=times):
            return _planned(times)
        case Cron(expression=expression, timezone=timezone):
            times = cron_times(expression, timezone)
            return ", ".join([_clock(times), *_days(times), *_months(times), timezone])


def _planned(times: Sequence[int]) -> str:
    first, last = (_minute(moment_us) for moment_us in (times[0], times[-1]))
    if len(times) == 1:
        return f"Once, at {first} UTC"
    return f"{len(times)} times, from {first} to {last} UTC"


def _minute(moment_us: int) -> str:
    moment = (EPOCH + moment_us * MICROSECOND).astimezone(UTC)
    shown = f"{moment:%Y-%m-%d %H:%M}".zfill(16)
    return f"{shown}:{moment:%S}" if moment.second else shown


def _clock(times: CronTimes) -> str:
    minutes = _numbers(times.fields[0], 60)
    hours = _numbers(times.fields[1], 24)
    if len(minutes) * len(hours) <= MOST_CLOCK_TIMES:
        return f"At {_listed([f'{hour:02}:{minute:02}' for hour in hours for minute in minutes])}"
    step = _step(minutes, 60)
    if len(hours) == 24:
        if step is not None and minutes[0] == 0:
            return "Every minute" if step == 1 else f"Every {step} minutes"
        return _rhythm(minutes) or f"Every hour{_at_minutes(minutes)}"
    if step is not None and minutes[0] == 0:
        rhythm = "Every minute" if step == 1 else f"Every {step} minutes"
        return f"{rhythm} {_within(hours)}"
    hourly = _step(hours, 24)
    if hourly is not None and hours[0] == 0:
        return f"Every {hourly} hours{_at_minutes(minutes)}"
    if minutes == [0] and (spread := _spread(hours)) is not None:
        rhythm = "Every hour" if spread == 1 else f"Every {spread} hours"
        return f"{rhythm} from {hours[0]:02}:00 to {hours[-1]:02}:00"
    return f"At {_named_minutes(minutes)} of {_named_hours(hours)}"


def _rhythm(minutes: Sequence[int]) -> str:
    """Name minutes that lie evenly in each hour, but not from one hour to the next."""
    if len(minutes) < 4:
        return ""
    step = minutes[1] - minutes[0]
    if list(minutes) != list(range(minutes[0], 60, step)):
        return ""
    return f"Every {step} minutes from minute {minutes[0]} of every hour"


def _at_minutes(minutes: Sequence[int]) -> str:
    return "" if list(minutes) == [0] else f" at {_named_minutes(minutes)}"


def _named_minutes(minutes: Sequence[int]) -> str:
    noun = "minute" if len(minutes) == 1 else "minutes"
    return f"{noun} {_listed(_spans(minutes, [str(minute) for minute in range(60)]))}"


def _named_hours(hours: Sequence[int]) -> str:
    noun = "hour" if len(hours) == 1 else "hours"
    return f"{noun} {_listed(_spans(hours, [str(hour) for hour in range(24)]))}"


def _within(hours: Sequence[int]) -> str:
    if list(hours) == list(range(hours[0], hours[-1] + 1)):
        return f"from {hours[0]:02}:00 to {hours[-1]:02}:59"
    return f"in {_named_hours(hours)}"


def _step(numbers: Sequence[int], whole: int) -> int | None:
    """Distance between evenly spread values that also fits from the last to the first."""
    if len(numbers) < 2 or whole % len(numbers):
        return None
    step = whole // len(numbers)
    even = list(range(numbers[0], numbers[0] + whole, step))
    return step if list(numbers) == even else None


def _spread(numbers: Sequence[int]) -> int | None:
    """Distance between evenly spread values."""
    step = numbers[1] - numbers[0]
    return step if list(numbers) == list(range(numbers[0], numbers[-1] + 1, step)) else None


def _days(times: CronTimes) -> list[str]:
    # The day of the month and the nth weekday narrow each other; plain days add up.
    narrows = bool(times.walker.nth_weekday_of_month or times.walker.nearest_weekday)
    by_date = _dates(times)
    by_weekday = _weekdays(times, one=narrows and bool(by_date))
    if by_date and by_weekday:
        return [f"{by_date} {'if it is' if narrows else 'or'} {by_weekday}"]
    if by_date or by_weekday:
        return [by_date or by_weekday]
    return [] if _clock(times).startswith("Every") else ["every day"]


def _dates(times: CronTimes) -> str:
    nearest = sorted(times.walker.nearest_weekday)
    if nearest:
        named = _listed([str(day) for day in nearest])
        last = ", or to the last day," if nearest[-1] > SHORTEST_MONTH else ""
        return f"on the weekday nearest to day {named}{last} of the month"
    days = times.fields[2]
    if list(days) == ["*"]:
        return ""
    numbers = [day for day in days if isinstance(day, int)]
    parts: list[str] = []
    step = _spread(numbers) if len(numbers) > MOST_DAYS else None
    if step is not None and step > 1:
        parts.append(f"every {step} days from day {numbers[0]} to {numbers[-1]}")
    elif numbers:
        named = _listed(_spans(numbers, [str(day) for day in range(32)]))
        parts.append(f"day {named}" if len(numbers) == 1 else f"days {named}")
    if "l" in days:
        parts.append("the last day")
    on = "" if parts[0].startswith("every") else "on "
    return f"{on}{' and '.join(parts)} of the month"


def _weekdays(times: CronTimes, *, one: bool) -> str:
    """Name the days of the week, or with `one` those that a date may fall on."""
    on = "" if one else "on "
    nth = times.walker.nth_weekday_of_month
    if nth:
        named = [
            f"the {'last' if str(place) == 'l' else ORDINALS[place - 1]} {WEEKDAYS[int(day)]}"
            for day, places in sorted(nth.items(), key=lambda item: str(item[0]))
            for place in sorted(places, key=str)
        ]
        return f"{on}{_listed(named)} of the month"
    days = times.fields[4]
    if list(days) == ["*"]:
        return ""
    # Weeks are read from Monday, so that a weekend is one span.
    week = [*WEEKDAYS[1:], WEEKDAYS[0]]
    places = sorted((int(day) - 1) % 7 for day in days)
    named = _spans(places, week, wraps=True)
    if one or any(" to " in each for each in named):
        return _listed(named)
    return f"on {_listed([f'{each}s' for each in named])}"


def _months(times: CronTimes) -> list[str]:
    months = times.fields[3]
    if list(months) == ["*"]:
        return []
    places = sorted(int(month) - 1 for month in months)
    return [f"in {_listed(_spans(places, MONTHS, wraps=True))}"]


def _numbers(values: Values, whole: int) -> list[int]:
    if list(values) == ["*"]:
        return list(range(whole))
    return sorted(int(value) for value in values)


def _spans(numbers: Sequence[int], names: Sequence[str], *, wraps: bool = False) -> list[str]:
    """Name sorted numbers, three and more in a row as one span, which `wraps` lets go round."""
    rows: list[list[int]] = []
    for number in numbers:
        if rows and rows[-1][-1] == number - 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    first, last = rows[0], rows[-1]
    is_round = wraps and len(rows) > 1 and first[0] == 0 and last[-1] == len(names) - 1
    if is_round and len(first) + len(last) > 2:
        rows = [*rows[1:-1], last + first]
    named: list[str] = []
    for row in rows:
        if len(row) > 2:
            named.append(f"{names[row[0]]} to {names[row[-1]]}")
        else:
            named += [names[number] for number in row]
    return named


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
