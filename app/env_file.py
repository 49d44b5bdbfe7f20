"""Reads a file of KEY=value lines, as `ops/env/backend.env` is written."""

import re
from pathlib import Path

_LINE = re.compile(r"(?:export\s+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")
_QUOTED = re.compile(r"""(?P<quote>["'])(?P<inner>(?:\\.|(?!(?P=quote)).)*)(?P=quote)\s*(?:#.*)?""")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}


class BadEnvFile(ValueError):
    """The file holds something that is no KEY=value line; the message names file and line."""


def read_env_file(path: Path) -> dict[str, str]:
    """The file's values by key; a key that stands twice has its last value."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadEnvFile(f"{path} is not UTF-8 text.") from error
    except OSError as error:
        raise BadEnvFile(f"{path} cannot be read: {error.strerror}.") from error
    return parse_env(text, name=str(path))


def parse_env(text: str, *, name: str = "the text") -> dict[str, str]:
    """Values by key; `#` starts a comment, `export` is allowed, quotes keep what is in them."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise BadEnvFile(f"{name}, line {number} is no KEY=value line.")
        values[match["key"]] = _value(match["value"], place=f"{name}, line {number}")
    return values


def _value(raw: str, *, place: str) -> str:
    if raw[:1] not in {'"', "'"}:
        return re.split(r"(?:^|\s)#", raw, maxsplit=1)[0].strip()
    match = _QUOTED.fullmatch(raw)
    if match is None:
        raise BadEnvFile(f"{place} opens a quote and does not close it.")
    inner = match["inner"]
    if match["quote"] == "'":
        return inner
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), inner)
