"""Results of well-known tools as one would tell them to a person: short, and still exact."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from domain.kernel.zones import load_zone, zone_names
from domain.models.offline.fences import fenced, in_line

_MOST_LISTED = 50
_MOST_ROWS = 30
_KINDS = {"USER_DATA": "fact", "FRAGMENT": "fragment", "SOLUTION": "solution"}
Fields = Mapping[str, Any]
Telling = Callable[[Fields, Any], str | None]


def told(name: str, arguments: Fields, value: object) -> str | None:
    """The result of a tool in words; None where nothing special is known of it."""
    telling = _TELLINGS.get(name)
    try:
        return None if telling is None else telling(arguments, value)
    except (KeyError, TypeError, ValueError):
        return None


def _calculated(arguments: Fields, value: Any) -> str | None:
    if isinstance(value, str):
        return None
    has_text = isinstance(value, dict) and "text" in value
    result = str(cast("Fields", value)["text"]) if has_text else _plain(value)
    return f"{arguments['expression']} = {result}"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        value = cast("Fields", value)["value"]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _converted(arguments: Fields, value: Any) -> str | None:
    given = f"{_plain(arguments['value'])} {arguments['unit']}"
    return f"{given} = {_plain(value['value'])} {value['unit']}"


def _added(_: Fields, value: Any) -> str | None:
    return f"{_day(datetime.fromisoformat(value))} ({value})"


def _day(moment: datetime) -> str:
    return f"{moment:%A}, {moment.day} {moment:%B} {moment.year}"


def _apart(_: Fields, value: Any) -> str | None:
    names = ("years", "months", "days", "hours", "minutes", "seconds")
    parts = [_counted(value[name], name[:-1]) for name in names if value[name]]
    days = _counted(value["total_days"], "day")
    if days.startswith("-"):
        days = f"{days[1:]} back"
    is_said = parts == [days] or not parts
    return days if is_said else f"{days} ({_listed(parts)})"


def _counted(number: float, noun: str) -> str:
    plural = {"reply": "replies", "match": "matches", "entry": "entries"}.get(noun, f"{noun}s")
    return f"{number:,.15g} {noun if number == 1 else plural}".replace(",", "")


def _listed(parts: Sequence[str]) -> str:
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last


def _text_counted(_: Fields, value: Any) -> str | None:
    names = {
        "words": "word",
        "unique_words": "different word",
        "characters": "character",
        "size_bytes": "byte",
        "sentences": "sentence",
        "lines": "line",
        "paragraphs": "paragraph",
    }
    return _listed([_counted(value[key], noun) for key, noun in names.items()])


def _replaced(_: Fields, value: Any) -> str | None:
    count = _counted(value["replacements"], "replacement")
    return f"{_shown(value['text'])}\n({count})"


def _text(_: Fields, value: Any) -> str | None:
    return _shown(value) if isinstance(value, str) and value else None


def _shown(text: str) -> str:
    return in_line(text) or fenced(text, "")


def _matched(arguments: Fields, value: Any) -> str | None:
    matches = cast("list[str]", value["matches"])
    kind = str(arguments.get("kind", "matches")).replace("_", " ")
    if not matches:
        return f"There are no {kind} in the text."
    noun = kind.removesuffix("es") if kind.endswith("sses") else kind.removesuffix("s")
    more = ", and more" if value["truncated"] else ""
    return f"{_counted(len(matches), noun)}: {', '.join(matches[:_MOST_LISTED])}{more}"


def _differences(_: Fields, value: Any) -> str | None:
    changes = cast("list[Fields]", value["changes"])
    if value["equal"]:
        return "They are equal."
    lines = [f"{_counted(len(changes), 'difference')}:"]
    for change in changes[:_MOST_LISTED]:
        path = change["path"] or "the whole"
        before, after = in_line(change["before"]), in_line(change["after"])
        said = {
            "added": f"{after} was added",
            "removed": f"{before} was removed",
            "changed": f"{before} became {after}",
        }[change["kind"]]
        lines.append(f"- {path}: {said}")
    if value["truncated"] or len(changes) > _MOST_LISTED:
        lines.append("- and more")
    return "\n".join(lines)


def _table(_: Fields, value: Any) -> str | None:
    columns, rows = cast("list[str]", value["columns"]), cast("list[Fields]", value["rows"])
    total = value["total_rows"]
    head = f"{_counted(total, 'row')}, {_counted(len(columns), 'column')}:"
    lines = [_row(columns), _row(["---"] * len(columns))]
    lines += [_row([row.get(name) for name in columns]) for row in rows[:_MOST_ROWS]]
    shown = min(len(rows), _MOST_ROWS)
    note = [f"({shown} of {_counted(total, 'row')} shown.)"] if shown < total else []
    return "\n".join([head, "", *lines, *note])


def _row(cells: Sequence[Any]) -> str:
    plain = (str("" if cell is None else cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(' '.join(cell.split()) for cell in plain)} |"


def _files(arguments: Fields, value: Any) -> str | None:
    entries = cast("list[Fields]", value["entries"])
    where = arguments.get("path") or "the workspace folder"
    if not entries:
        return f"There are no files in {where}."
    lines = [f"{_counted(len(entries), 'entry')} in {where}:"]
    lines += [f"- {_entry(each)}" for each in entries]
    return "\n".join([*lines, "- and more"] if value["truncated"] else lines)


def _entry(entry: Fields) -> str:
    is_folder = "fold" in str(entry["kind"]).lower() or "dir" in str(entry["kind"]).lower()
    if is_folder:
        return f"{entry['name']}/"
    size = entry.get("size_bytes")
    return str(entry["name"]) if size is None else f"{entry['name']} ({_counted(size, 'byte')})"


def _file(arguments: Fields, value: Any) -> str | None:
    text = str(value["text"])
    if not text:
        return f"{arguments['path']} is empty."
    more = value.get("next_offset")
    note = "" if more is None else f"\n(It goes on at byte {more}.)"
    return f"{arguments['path']}:\n{fenced(text, '')}{note}"


def _remembered(_: Fields, value: Any) -> str | None:
    said = "I knew that already" if value["already_known"] else "I will remember"
    return f"{said}: {value['content']}"


def _recalled(arguments: Fields, value: Any) -> str | None:
    memories = cast("list[Fields]", value["memories"])
    about = arguments["query"]
    if not memories:
        return f'I remember nothing about "{about}".'
    lines = [f"I remember {_counted(len(memories), 'thing')}:"]
    for memory in memories:
        since = datetime.fromisoformat(memory["since"])
        kind = _KINDS.get(memory["kind"], str(memory["kind"]).lower())
        date = f"{since.day} {since:%B} {since.year}"
        lines.append(f"- {memory['content']} ({kind}, {date})")
    return "\n".join(lines)


def _scheduled(arguments: Fields, value: Any) -> str | None:
    name = str(arguments.get("timezone", "UTC")) if "cron" in arguments else "UTC"
    zone = load_zone(name) if name in zone_names() else UTC
    times = [datetime.fromisoformat(each).astimezone(zone) for each in value["next_times"]]
    said = f'I scheduled "{value["name"]}": {value["schedule"]}.'
    if not times:
        return said
    first, *others = (f"{_day(each)} at {each:%H:%M} {each:%Z}" for each in times)
    then = f", then {_listed(others)}" if others else ""
    return f"{said}\nNext: {first}{then}."


def _tasks(_: Fields, value: Any) -> str | None:
    tasks = cast("list[Fields]", value["tasks"])
    if not tasks:
        return "There are no such tasks."
    lines = [f"{_counted(len(tasks), 'task')}{' and more' if value['more'] else ''}:"]
    for task in tasks:
        state = "" if task["status"] == "ACTIVE" else f" ({task['status'].lower()})"
        following = "" if task["next_time"] is None else f"; next on {_at(task['next_time'])}"
        lines.append(f"- {task['name']}{state}: {task['schedule']}{following}")
    return "\n".join(lines)


def _task(_: Fields, value: Any) -> str | None:
    state = "" if value["status"] == "ACTIVE" else f" ({value['status'].lower()})"
    lines = [f"{value['name']}{state}: {value['schedule']}.", value["instruction"]]
    lines += [f"- next on {_at(each)}" for each in value["next_times"][:1]]
    for past in cast("list[Fields]", value["last_times"]):
        reason = "" if past["reason"] is None else f": {past['reason']}"
        lines.append(f"- {_at(past['due'])} {past['status'].lower()}{reason}")
    return "\n".join(lines)


def _task_changed(_: Fields, value: Any) -> str | None:
    state = "" if value["status"] == "ACTIVE" else f" ({value['status'].lower()})"
    following = f"; next on {_at(value['next_times'][0])}" if value["next_times"] else ""
    return f'I changed "{value["name"]}"{state}: {value["schedule"]}{following}.'


def _task_cancelled(_: Fields, value: Any) -> str | None:
    return f'I cancelled "{value["name"]}".'


def _task_started(_: Fields, value: Any) -> str | None:
    is_waiting = value["status"] == "QUEUED"
    return f'"{value["name"]}" {"starts as soon as it can" if is_waiting else "has started"}.'


def _at(moment: str) -> str:
    when = datetime.fromisoformat(moment)
    return f"{_day(when)} at {when:%H:%M} UTC"


def _handed_over(arguments: Fields, value: Any) -> str | None:
    """What another agent answered."""
    said = value["output"] if "outputData" not in value else in_line(value["outputData"])
    text = str(said or "").strip()
    if not text:
        return f"{arguments['agent']} said nothing."
    return f"{arguments['agent']}:{chr(10) if chr(10) in text else ' '}{text}"


_TELLINGS: Mapping[str, Telling] = {
    "calculate": _calculated,
    "unit_convert": _converted,
    "date_add": _added,
    "date_difference": _apart,
    "date_format": _text,
    "text_stats": _text_counted,
    "text_replace": _replaced,
    "text_slug": _text,
    "text_extract": _matched,
    "hash_text": _text,
    "base64_encode": _text,
    "base64_decode": _text,
    "csv_read": _table,
    "csv_write": _text,
    "json_diff": _differences,
    "files_list": _files,
    "files_read": _file,
    "remember": _remembered,
    "recall": _recalled,
    "schedule_task": _scheduled,
    "list_tasks": _tasks,
    "show_task": _task,
    "change_task": _task_changed,
    "cancel_task": _task_cancelled,
    "run_task_now": _task_started,
    "delegate": _handed_over,
}
