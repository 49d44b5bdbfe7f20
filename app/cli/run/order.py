"""What is asked for on the command line, checked and put into the words of the API."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from app.failures import StartRefused

FROM_STDIN = "-"
# As `schema.ids` writes them; that module would load the GraphQL library for this one check.
_AGENT_ID = re.compile(r"agent_[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """One run as it is ordered; `timeout_s` bounds the run and the waiting for it."""

    instruction: str
    agent: str = "default"
    model: str | None = None
    conversation: str | None = None
    inputs: Mapping[str, Any] | None = None
    timeout_s: int | None = None

    def values(self) -> Mapping[str, Any]:
        """The order in the names of the API. Raises StartRefused."""
        by = "id" if _AGENT_ID.fullmatch(self.agent) else "slug"
        optional = {
            "model": None if self.model is None else _model(self.model),
            "conversationId": self.conversation,
            "inputs": self.inputs or None,
            "limits": None if self.timeout_s is None else {"maxSeconds": self.timeout_s},
        }
        return {
            "agent": {by: self.agent},
            "instruction": self.instruction,
            "waitSeconds": 0,
            "idempotencyKey": str(uuid4()),
            **{name: value for name, value in optional.items() if value is not None},
        }


def read_instruction(text: str) -> str:
    """The instruction; `-` stands for what comes on standard input. Raises StartRefused."""
    found = _read_stdin("the instruction") if text == FROM_STDIN else text
    if not found.strip():
        raise StartRefused("The instruction is empty; say what is to be done.")
    return found.strip()


def check_stdin_once(instruction: str, inputs: Sequence[str]) -> None:
    """Standard input can be read once. Raises StartRefused."""
    readers = [instruction] if instruction == FROM_STDIN else []
    readers += [pair for pair in inputs if pair.partition("=")[2] == f"@{FROM_STDIN}"]
    if len(readers) > 1:
        raise StartRefused("Only one of instruction and inputs can come on standard input.")


def read_inputs(given: Sequence[str]) -> Mapping[str, Any]:
    """Read `key=value` pairs. Raises StartRefused.

    A value that is JSON is taken as such, `@file` as the text of a file, `@-` as that of standard
    input, and all else as text.
    """
    found: dict[str, Any] = {}
    for pair in given:
        key, mark, value = pair.partition("=")
        if not mark or not key:
            raise StartRefused(f"--input {pair!r} is no pair; write it as --input key=value.")
        if key in found:
            raise StartRefused(f"--input gives {key!r} twice; give it once.")
        found[key] = _read_file(value[1:], key) if value.startswith("@") else _read_value(value)
    return found


def _model(text: str) -> Mapping[str, str]:
    provider, mark, name = text.partition(":")
    if not mark or not provider or not name:
        raise StartRefused(
            f"--model {text!r} names no model; write it as provider:name, "
            "such as openai:gpt-4.1-mini."
        )
    return {"provider": provider, "name": name}


def _read_value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _read_file(name: str, key: str) -> str:
    if name == FROM_STDIN:
        return _read_stdin(f"--input {key}")
    try:
        return Path(name).read_text("utf-8")
    except OSError as error:
        raise StartRefused(f"--input {key}: {name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise StartRefused(f"--input {key}: {name} is not UTF-8 text.") from error


def _read_stdin(what: str) -> str:
    if sys.stdin.isatty():
        sys.stderr.write(f"Type {what}; Ctrl-D ends it.\n")
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise StartRefused(f"What comes on standard input for {what} is not UTF-8.") from error
