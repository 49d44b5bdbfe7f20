"""Looking after what is scheduled, in plain words: `list my tasks`, `cancel the morning report`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.models.offline.due_times import UnclearScheduleError, arguments_of
from domain.models.offline.literals import Reading
from domain.models.offline.mood import core_end, core_start, is_hedged
from domain.models.offline.schedules_spoken import read_when

LONGEST = 400
_I = re.IGNORECASE
_KIND = r"(?:(?:scheduled|planned|recurring)\s+)?"
_NOUN = rf"{_KIND}(?:tasks?|reminders?|schedules?|(?:cron\s*)?jobs?|alarms?)"
_MANY = rf"{_KIND}(?:tasks|reminders|schedules|(?:cron\s*)?jobs|alarms)"
_WHOSE = r"(?:(?:all|the|my|our|your|of|these|those|this|that)\s+)*"
_STATUSES = {
    "active": "ACTIVE",
    "upcoming": "ACTIVE",
    "pending": "ACTIVE",
    "open": "ACTIVE",
    "paused": "PAUSED",
    "held": "PAUSED",
    "completed": "COMPLETED",
    "finished": "COMPLETED",
    "done": "COMPLETED",
}
_STATE = rf"(?P<state>{'|'.join(_STATUSES)})"
_ABOUT = r"(?:\s+(?:about|with|matching|that\s+(?:mention|contain)s?)\s+(?P<search>.+))?"
_LISTS: tuple[re.Pattern[str], ...] = tuple(
    re.compile(pattern, _I)
    for pattern in (
        (
            rf"(?:list_tasks|(?:list|show|display|see|view|print|get|give|tell)\s+(?:me\s+)?{_WHOSE}"
            rf"(?:{_STATE}\s+)?{_MANY}(?:\s+(?:i|we|you)\s+have|\s+there\s+are)?){_ABOUT}"
        ),
        (
            rf"(?:what|which)\s+(?:{_STATE}\s+)?{_MANY}\s+"
            rf"(?:(?:do|have)\s+(?:i|we|you)(?:\s+(?:have|got))?|are\s+there|exist){_ABOUT}"
        ),
        rf"(?:what|which)\s+{_MANY}\s+are\s+(?:scheduled|planned|set(?:\s+up)?|there|{_STATE})",
        (
            r"what(?:['\u2019]?s|\s+is|\s+do\s+(?:i|we|you)\s+have|\s+have\s+(?:i|we|you))\s+"
            r"(?:currently\s+)?(?:scheduled|planned)(?:\s+(?:here|currently|right\s+now|so\s+far))?"
        ),
        rf"(?:are\s+there|do\s+(?:i|we|you)\s+have)\s+any\s+(?:{_STATE}\s+)?{_MANY}{_ABOUT}",
    )
)


def _named(place: int = 0) -> str:
    """A task by its name, which comes after or before the word "task"."""
    after = rf"{_NOUN}\s+(?:(?:called|named|with\s+the\s+name)\s+)?(?P<after_{place}>.+)"
    return rf"{_WHOSE}(?:{after}|(?P<before_{place}>.+?)\s+{_NOUN})"


_LOOSE = rf"(?:{_named()}|{_WHOSE}(?P<bare>.+))"
_SHOWS = re.compile(
    rf"show_task\s+(?P<bare>.+)|(?:show|describe|inspect|view|display)\s+(?:me\s+)?{_named(0)}"
    rf"|what(?:\s+is|['\u2019]?s)\s+the\s+(?:status|state)\s+of\s+{_named(1)}"
    rf"|when\s+(?:is|does|will)\s+{_named(2)}\s+(?:due|run|fire|start)(?:\s+(?:next|again))?",
    _I,
)
_CANCELS = re.compile(
    rf"(?:cancel_task|cancel|unschedule)\s+{_LOOSE}|(?:delete|remove|drop|stop|end)\s+{_named(1)}",
    _I,
)
_PAUSES = re.compile(rf"(?:pause|suspend|put\s+on\s+hold)\s+{_LOOSE}", _I)
_RESUMES = re.compile(rf"(?:resume|unpause|reactivate)\s+{_LOOSE}", _I)
_STARTS = re.compile(
    rf"run_task_now\s+(?P<bare>.+)|(?:run|start|execute|trigger|fire)\s+{_named()}", _I
)
_RENAMES = re.compile(rf"rename\s+{_named()}\s+(?:to|into|as)\s+(?P<name>.+)", _I)
_MOVES = re.compile(rf"(?:move|reschedule|change|shift|set)\s+{_named()}\s+to\s+(?P<when>.+)", _I)
_MORE = re.compile(r"\b(?:and|then|or|but|if|when|unless|every|at|until)\b|[,;:]", _I)
_NOBODY = re.compile(
    r"(?:it|this|that|them|these|those|everything|all|anything|something|one|a|an|\d+)\b"
    r"|(?:the|my|our|your)$"
    r"|(?:me|us|him|her|myself)\b|.*\b(?:reminding|run|runs|yourself)\b",
    _I,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenCare:
    """A call that looks after what is scheduled: the tool and its arguments."""

    tool: str
    arguments: Mapping[str, Any]


def care_in(clause: str, now: datetime) -> SpokenCare | None:
    """What a clause asks to be done with tasks there are; None if it asks for nothing of the kind.

    Raises UnclearScheduleError where a task shall move, but not clearly to when.
    """
    bare = Reading(clause).bare
    start, end = core_start(bare), core_end(bare)
    if len(clause) > LONGEST or start >= end or is_hedged(bare):
        return None
    said = _Said(clause=clause[start:end], bare=bare[start:end])
    if (listed := _listed(said)) is not None:
        return listed
    is_question = bare.rstrip().endswith("?") and start == 0
    if (match := _SHOWS.fullmatch(said.bare)) is not None:
        return _of(said, match, "show_task")
    return None if is_question else _changed(said, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A clause without courtesies, and the same with its quotes blanked out."""

    clause: str
    bare: str

    def text(self, match: re.Match[str], *groups: str) -> str:
        """What stands where the first of the groups that took part has matched, unquoted."""
        found = match.groupdict()
        group = next((each for each in groups if found.get(each)), None)
        if group is None:
            return ""
        text = self.clause[match.start(group) : match.end(group)].strip(" .!,")
        return text.strip("\"'`\u201c\u201d\u2018\u2019").strip()


def _listed(said: _Said) -> SpokenCare | None:
    match = next((found for each in _LISTS if (found := each.fullmatch(said.bare))), None)
    if match is None:
        return None
    found = match.groupdict()
    given = {
        "search": said.text(match, "search") or None,
        "status": _STATUSES.get((found.get("state") or "").lower()),
    }
    arguments = {name: value for name, value in given.items() if value is not None}
    return SpokenCare(tool="list_tasks", arguments=arguments)


def _changed(said: _Said, now: datetime) -> SpokenCare | None:
    if (match := _RENAMES.fullmatch(said.bare)) is not None:
        name = said.text(match, "name")
        return _of(said, match, "change_task", name=name) if name else None
    if (match := _MOVES.fullmatch(said.bare)) is not None:
        return _moved(said, match, now)
    for pattern, tool, more in (
        (_CANCELS, "cancel_task", {}),
        (_PAUSES, "change_task", {"paused": True}),
        (_RESUMES, "change_task", {"paused": False}),
        (_STARTS, "run_task_now", {}),
    ):
        if (match := pattern.fullmatch(said.bare)) is not None:
            return _of(said, match, tool, **more)
    return None


def _moved(said: _Said, match: re.Match[str], now: datetime) -> SpokenCare | None:
    phrase = said.bare[match.start("when") :]
    when = read_when(phrase, 0)
    if when is None or phrase[when.end :].strip(" .!"):
        raise UnclearScheduleError("it does not say when")
    return _of(said, match, "change_task", **arguments_of(when, now))


def _of(said: _Said, match: re.Match[str], tool: str, **more: Any) -> SpokenCare | None:
    """The call on the task that is named; None where that is no name."""
    groups = [each for each in match.groupdict() if each.startswith(("after", "before", "bare"))]
    group = next((each for each in groups if match[each]), None)
    if group is None or not _is_name(match[group]):
        return None
    named = said.text(match, group)
    return SpokenCare(tool=tool, arguments={"task": named, **more}) if named else None


def _is_name(bare: str) -> bool:
    """True where nothing but a name is said, no time, no pronoun and no other clause."""
    plain = bare.strip(" .!\0")
    return not plain or (_NOBODY.match(plain) is None and _MORE.search(plain) is None)
