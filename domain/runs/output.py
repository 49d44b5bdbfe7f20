"""Answers as data: what a run's answer must look like, and what is wrong with one that does not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from domain.kernel.json_fit import JsonFit
from domain.kernel.json_schema_words import UnusableSchemaError
from domain.models.ports import ChatMessage
from domain.runs.failures import RunFailedError
from domain.runs.state import RunErrorCode
from domain.runs.work import RunFailure

MOST_REPAIRS = 2
"""How often a model is asked again for an answer that fits."""

_FENCED = re.compile(r"```[A-Za-z0-9_-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An answer as data; `complaint` says what is wrong with it, None when it fits."""

    data: Any = None
    complaint: str | None = None


class OutputSchema:
    """The shape of a run's answer. Raises RunFailedError when nothing can be held against it."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema
        try:
            self._fit = JsonFit(schema)
        except UnusableSchemaError as error:
            place = ".".join(error.path) or "the root"
            message = f"The output schema cannot be used: {error.reason} At {place}."
            failure = RunFailure(code=RunErrorCode.OUTPUT_INVALID, message=message)
            raise RunFailedError(failure) from error

    @property
    def words(self) -> str:
        """What the model is told."""
        text = orjson.dumps(self.schema).decode()
        return (
            "Your last answer, when you call no more tools, must be one JSON value and nothing"
            f" else. It must fit this JSON Schema:\n{text}"
        )

    def read(self, text: str) -> Reading:
        """Read an answer, alone or in a fence, and hold it against the schema."""
        parsed = _json_in(text)
        if parsed is None:
            return Reading(complaint="it is no JSON")
        misfits = self._fit.misfits(parsed[0])
        if misfits:
            return Reading(complaint="; ".join(str(misfit) for misfit in misfits))
        return Reading(data=parsed[0])

    def objections(self, text: str) -> list[ChatMessage]:
        """What the model reads after an answer that does not fit; nothing after one that does."""
        complaint = self.read(text).complaint
        if complaint is None:
            return []
        asked = (
            f"Your answer does not fit the JSON Schema: {complaint}. Give the whole answer again,"
            " as one JSON value that fits it and nothing else."
        )
        return [ChatMessage(role="user", content=asked)]


def misfit(complaint: str) -> RunFailure:
    """Why a run ends whose answer does not fit."""
    return RunFailure(
        code=RunErrorCode.OUTPUT_INVALID,
        message=f"The answer does not fit the output schema: {complaint}.",
    )


def _json_in(text: str) -> tuple[Any] | None:
    """The value that a text is, or that its last fence holds; None when there is none."""
    for candidate in (text, *reversed(_FENCED.findall(text))):
        try:
            return (orjson.loads(candidate.strip()),)
        except orjson.JSONDecodeError:
            continue
    return None
