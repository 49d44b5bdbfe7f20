"""How a run's calls, failures and figures read on one line."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import orjson

from app.cli.run.desk import Json

LONGEST_VALUE = 60
LEAST_VALUE = 12
_UNSAFE = dict.fromkeys([*range(32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}")
"""Letters that a terminal obeys instead of showing them."""
_IN_JSON = {code: f"\\u{code:04x}" for code in range(127, 160)}
_IN_TEXT = {**_UNSAFE, ord("\n"): "\n", ord("\t"): "\t", ord("\r"): None}

CURES: Mapping[str, str] = {
    "MODEL_RATE_LIMITED": "Wait a little and run it again, or name another model with --model.",
    "MODEL_UNAVAILABLE": "`gob doctor` asks the model and says what to do.",
    "MODEL_BAD_RESPONSE": "Run it again; `gob doctor` shows whether the model answers at all.",
    "CONTEXT_TOO_LONG": "Say less, or name a model that reads more with --model.",
    "LIMIT_REACHED": "Raise that limit of the agent, or ask for less at once.",
    "TIMED_OUT": "Give it more time: --timeout, or maxSeconds of the agent.",
    "WORKER_LOST": "Run it again; the log of the server says what ended the worker.",
    "LOOP_DETECTED": "Say it in other words, or name another model with --model.",
}
"""What to do about a run's failure, by its code; what is not here speaks for itself."""


def safe_text(text: str) -> str:
    """Text as a terminal may have it: lines and tabs stay, control letters do not."""
    return text.translate(_IN_TEXT)


def json_line(document: Json) -> str:
    """A document on one line, with no letter that a terminal obeys."""
    return orjson.dumps(document).decode().translate(_IN_JSON)


def one_line(text: str, longest: int) -> str:
    """Text on one line without control letters, cut in the middle of what is too long."""
    line = " ".join(text.split()).translate(_UNSAFE)
    if len(line) <= longest:
        return line
    tail = longest // 4
    return f"{line[: longest - tail - 3]}...{line[-tail:]}" if tail else line[:longest]


def call_words(name: str, arguments: Any, longest: int) -> str:
    """A call as one would write it, such as `calculate(expression="6 * 7")`."""
    if isinstance(arguments, Mapping):
        named = cast("Mapping[str, Any]", arguments)
        whole = {key: value_words(value, LONGEST_VALUE) for key, value in named.items()}
        around = len(name) + sum(len(key) + 3 for key in whole)
        room = _room_for_each([len(text) for text in whole.values()], longest - around)
        text = ", ".join(f"{key}={one_line(value, room)}" for key, value in whole.items())
    else:
        text = value_words(arguments, longest)
    return one_line(f"{name}({text})", longest)


def _room_for_each(lengths: Sequence[int], room: int) -> int:
    """The most letters for each text, so that all fit: short ones leave their rest to long ones."""
    rest = sorted(lengths)
    while rest and rest[0] * len(rest) <= room:
        room -= rest.pop(0)
    return max(LEAST_VALUE, room // len(rest)) if rest else LONGEST_VALUE


def value_words(value: Any, longest: int) -> str:
    """A JSON value on one line."""
    return one_line(orjson.dumps(value).decode(), longest)


def result_words(result: Any, longest: int) -> str:
    """What a call gave: text as it is, other values as JSON."""
    return one_line(result, longest) if isinstance(result, str) else value_words(result, longest)


def time_words(milliseconds: float) -> str:
    """A length of time with the unit that fits."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def figures(run: Json) -> str:
    """What a run took, as the end of a sentence: time, calls, tokens and money."""
    usage: Mapping[str, Any] = run["usage"]
    parts = [_counted(usage["modelCalls"], "model call")]
    if usage["toolCalls"]:
        parts.append(_counted(usage["toolCalls"], "tool call"))
    if run["offline"]:
        parts.append("offline")
    else:
        cached = f" ({usage['cachedTokens']:,} cached)" if usage["cachedTokens"] else ""
        parts.append(f"{usage['inputTokens']:,} tokens in{cached}")
        parts.append(f"{usage['outputTokens']:,} out")
        cost = usage["costUsd"]
        parts.append("price unknown" if cost is None else f"${cost:.4f}")
    took = _took_ms(run)
    after = "" if took is None else f" after {time_words(took)}"
    return f"{after}: {', '.join(parts)}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _took_ms(run: Json) -> float | None:
    if run["startedAt"] is None or run["finishedAt"] is None:
        return None
    began, ended = (datetime.fromisoformat(run[name]) for name in ("startedAt", "finishedAt"))
    return (ended - began).total_seconds() * 1000
