"""Whatever somebody writes as a schedule: one verdict at every door, and a schedule that holds."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from domain.kernel.errors import ValidationFailed
from domain.kernel.moments import EPOCH, MICROSECOND, parse_moment
from domain.tasks.cron import FIELD_NAMES
from domain.tasks.flat import from_flat, in_flat_names
from domain.tasks.preview import preview
from domain.tasks.schedule import Cron, Planned, read, stored, upcoming
from domain.tasks.schedule_spec import ScheduleSpec
from domain.tasks.spec import NewTask, refuse_without_due_time
from domain.tasks.tool_calls import by_argument, by_cron
from domain.tasks.wording import summary

NOW_US = parse_moment("2026-11-22T12:00:00Z")
BASE = {"name": "Report", "agent": {"slug": "default"}, "instruction": "Write it."}
ZONES = ("UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/New_York")
NO_ZONES = ("europe/berlin", "PST", "UTC+2", "W. Europe Standard Time", "", "Mars", "\u00fc\u0660")
SPANS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}
NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "weekday": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
ODD = (
    "R",
    "H",
    "?",
    "*/0",
    "5-",
    "-",
    "1,,2",
    "\u0661",
    "5.5",
    "mon#6",
    "LW",
    "5L",
    "Monday",
    "**",
)


def parts(name: str) -> st.SearchStrategy[str]:
    """One part of a field: a number or a name, a range, a step; at times nothing that can be."""
    low, high = SPANS[name]
    numbers = st.integers(low, high)
    named = st.sampled_from(
        [*NAMES.get(name, ()), *(n.upper() for n in NAMES.get(name, ()))] or ["*"]
    )
    spans = st.tuples(numbers, numbers).map(lambda two: f"{two[0]}-{two[1]}")
    steps = st.tuples(st.just("*"), st.integers(1, high)).map(lambda two: f"{two[0]}/{two[1]}")
    places = {"day": ["L", "15W", "31w"], "weekday": ["mon#1", "5#5", "L5", "sun#2"]}
    special = st.sampled_from(places.get(name, ["*"]))
    wrong = st.one_of(st.sampled_from(ODD), st.integers(high + 1, high + 40).map(str))
    plain = st.one_of(numbers.map(str), numbers.map(str), named, spans, steps, st.just("*"))
    return st.one_of(plain, plain, plain, special, wrong)


def fields() -> st.SearchStrategy[tuple[str, ...]]:
    """Five fields, most of them right."""
    every = st.just("*")
    lists = [st.lists(parts(name), min_size=1, max_size=2).map(",".join) for name in FIELD_NAMES]
    return st.tuples(*(st.one_of(every, each) for each in lists))


def lines() -> st.SearchStrategy[str]:
    """Expressions, some of another length or between odd blanks."""
    exact = fields().map(" ".join)
    spaced = fields().map(lambda five: "\t" + "  ".join(five) + "\n")
    longer = st.tuples(fields(), st.sampled_from(["*", "2027", "?"])).map(
        lambda p: " ".join([*p[0], p[1]])
    )
    aliases = st.sampled_from(["@daily", "@HOURLY", "@reboot", "@every 5m", "", " ", "x" * 201])
    return st.one_of(exact, exact, exact, exact, spaced, longer, aliases)


def verdict(values: Mapping[str, Any]) -> NewTask | ValidationFailed:
    """The checked task, or why there is none."""
    try:
        new = NewTask.of(values)
        refuse_without_due_time(new, now_us=NOW_US)
    except ValidationFailed as error:
        return error
    return new


def problems(error: ValidationFailed) -> list[tuple[str, str]]:
    """What is wrong, by path."""
    return [(".".join(problem.path), problem.message) for problem in error.problems]


def flat_verdict(cron: str, zone: str) -> NewTask | ValidationFailed:
    """What a script gets that writes the schedule beside the other fields."""
    try:
        values = from_flat({**BASE, "type": "scheduled", "cron": cron, "timezone": zone})
    except ValidationFailed as error:
        return error
    found = verdict(values)
    return in_flat_names(found) if isinstance(found, ValidationFailed) else found


@given(cron=lines(), zone=st.sampled_from([*ZONES, *ZONES, *NO_ZONES]))
@example(cron="0 0 30 2 *", zone="UTC")
@example(cron="0 9 15W * sun", zone="UTC")
@example(cron="0 0 * 2 sat#5", zone="UTC")
def test_every_door_says_the_same_of_a_line_of_cron(cron: str, zone: str) -> None:
    schedule = by_cron(cron, zone)

    nested, flat = verdict({**BASE, "schedule": schedule}), flat_verdict(cron, zone)
    shown = preview({"schedule": schedule}, now_us=NOW_US)

    if isinstance(nested, NewTask):
        assert isinstance(flat, NewTask)
        assert [flat.schedule.schedule(), shown.problems] == [nested.schedule.schedule(), ()]
        return
    at = {"schedule.scheduled.cron.expression": "cron", "schedule.scheduled.timezone": "timezone"}
    told = [(at[path], message) for path, message in problems(nested)]
    assert isinstance(flat, ValidationFailed)
    assert problems(flat) == told
    assert list(shown.problems) == list(nested.problems)
    in_words = " ".join(f"{name}: {message}" for name, message in told)
    assert by_argument(nested, "cron").message == in_words
    assert all(_has_cure(message) for _, message in told), told


def _has_cure(message: str) -> bool:
    """True for a sentence that says what would be right, and nothing of the code's own words."""
    cures = r"use |give |Give |write |did you mean|never due|name the|[Uu]se at most|such as"
    is_told = re.search(cures, message) is not None and message.endswith((".", "?"))
    return is_told and "Traceback" not in message and "croniter" not in message


@given(five=fields(), zone=st.sampled_from(ZONES))
def test_what_is_taken_is_saved_said_and_due_when_its_fields_say(
    five: tuple[str, ...], zone: str
) -> None:
    schedule = by_cron(" ".join(five), zone)
    new = verdict({**BASE, "schedule": schedule})
    if isinstance(new, ValidationFailed):
        return
    due = new.schedule.schedule()
    assert isinstance(due, Cron)

    kept = read(orjson.loads(orjson.dumps(stored(due))))
    times = upcoming(kept, after_us=NOW_US, count=5)

    assert kept == due
    assert ScheduleSpec.of(kept).schedule() == due
    assert re.fullmatch(rf"(?:At|Every) .+, {zone}", summary(kept))
    assert times == sorted(set(times))
    assert len(times) == 5
    utc = upcoming(Cron(expression=due.expression, timezone="UTC"), after_us=NOW_US, count=5)
    for time_us in utc:
        moment = EPOCH + time_us * MICROSECOND
        assert moment.minute in _allowed("minute", five[0])
        assert moment.hour in _allowed("hour", five[1])
        assert moment.month in _allowed("month", five[3])


def test_a_field_by_itself_is_refused_as_it_is_in_a_line() -> None:
    line = verdict({**BASE, "schedule": by_cron("61 * * * *", "UTC")})
    fields_given = {"cron": {"fields": {"minute": "61"}}}

    by_field = verdict({**BASE, "schedule": {"scheduled": fields_given}})

    assert isinstance(line, ValidationFailed)
    assert isinstance(by_field, ValidationFailed)
    assert [problem.message for problem in by_field.problems] == [
        problem.message for problem in line.problems
    ]
    assert by_field.path == ("schedule", "scheduled", "cron", "fields", "minute")


@given(
    moment=st.datetimes().map(lambda one: one.replace(microsecond=0).isoformat().zfill(19)),
    ending=st.sampled_from(["", "Z", "z", "+05:45", "-23:59", "+24:00", "+0100", " Europe/Berlin"]),
)
def test_a_planned_time_has_an_offset_or_is_refused_with_a_cure(moment: str, ending: str) -> None:
    values = {**BASE, "schedule": {"planned": {"times": [moment + ending]}}}

    found = verdict(values)

    if isinstance(found, NewTask):
        offset = "+00:00" if ending in "Zz" else ending
        due = found.schedule.schedule()
        assert isinstance(due, Planned)
        assert EPOCH + due.times[0] * MICROSECOND == _read(moment, offset)
        return
    [(path, message)] = problems(found)
    assert path in ("schedule.planned.times.0", "schedule.planned.times")
    assert re.search(
        r"send one like|write [0-9]|add its offset|have passed|must be less|years 1", message
    )
    assert path.endswith("0") == ("passed" not in message)


def _read(moment: str, offset: str) -> datetime:
    sign = -1 if offset[0] == "-" else 1
    ahead = sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[4:]))
    return EPOCH + parse_moment(f"{moment}Z") * MICROSECOND - ahead


def _allowed(name: str, field: str) -> set[int]:
    """The numbers that a field allows, by the letter of cron."""
    low, high = SPANS[name]
    found: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = low if first in "*?" else _number(name, first)
        end = high if first in "*?" or (step and not last) else _number(name, last or first)
        if begin <= end:
            found.update(range(begin, end + 1, int(step or 1)))
        else:
            found.update([*range(begin, high + 1), *range(low, end + 1)])
    return found


def _number(name: str, text: str) -> int:
    names = NAMES.get(name, ())
    return names.index(text) + SPANS[name][0] if text in names else int(text)
