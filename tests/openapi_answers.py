"""Holds answers of the REST door against its OpenAPI file: every status, header and body.

described = DescribedAnswers()
described.check("GET", "/api/v1/runs/run_...", answer)      # an httpx.Response, read
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

OPENAPI = Path(__file__).parents[1] / "docs" / "api" / "openapi.yaml"
ROOT = "/api/v1"
PROBLEM = "application/problem+json"
EVENTS = "text/event-stream"
_NAME = "urn:openapi"
_FORMATS = FormatChecker()
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)

Json = dict[str, Any]


@_FORMATS.checks("date-time")
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or _MOMENT.fullmatch(value) is not None


@cache
def openapi() -> Json:
    """The file as it is checked in."""
    return yaml.safe_load(OPENAPI.read_text())


def frames(text: str) -> Iterator[Mapping[str, str]]:
    """The events of a stream by their fields, comments and waiting times left out."""
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        fields = {name: value for name, _, value in (line.partition(": ") for line in lines)}
        if "data" in fields:
            yield fields


class DescribedAnswers:
    """The OpenAPI file as a judge; fails with what an answer has that the file does not say."""

    def __init__(self) -> None:
        self._document = _closed(openapi())
        resource = Resource.from_contents(self._document, default_specification=DRAFT202012)
        self._registry = Registry().with_resource(_NAME, resource)

    def check(self, method: str, path: str, answer: httpx.Response) -> None:
        """Hold one answer, read to its end, against the file."""
        place = self._operation(method, path)
        if place is None:
            assert answer.status_code in {204, 403, 404, 405, 413}, (method, path, answer)
            if answer.content:
                self._check_problem(answer)
            return
        responses = self._at(place)["responses"]
        status = str(answer.status_code)
        assert status in responses, f"{method} {path} answered {status}, which is not described"
        where = self._resolved([*place, "responses", status])
        self._check_headers(where, answer)
        self._check_body(where, answer)
        if answer.status_code >= 400:
            self._check_problem(answer)

    def check_item(self, item: object, schema: str) -> None:
        """Hold a value against a schema by its name."""
        self._validate(item, ["components", "schemas", schema])

    def check_examples(self) -> int:
        """Hold every example of the file against what it is an example of; how many there are."""
        shown = 0
        for path, item in self._document["paths"].items():
            for method, operation in item.items():
                place = ["paths", path, method]
                bodies = [[*place, "requestBody"]] if "requestBody" in operation else []
                bodies += [[*place, "responses", status] for status in operation["responses"]]
                for body in bodies:
                    shown += self._check_examples_at(body)
        return shown

    def _check_examples_at(self, place: Sequence[str]) -> int:
        shown = 0
        for media, content in self._at(place).get("content", {}).items():
            for example in content.get("examples", {}).values():
                self._validate(example["value"], [*place, "content", media, "schema"])
                shown += 1
        return shown

    def check_events(self, text: str) -> Sequence[Json]:
        """Hold the events of a stream against their schema and return them."""
        found = []
        for frame in frames(text):
            item = json.loads(frame["data"])
            if frame["event"] == "problem":
                self.check_item(item, "Problem")
            else:
                self.check_item(item, "RunStreamItem")
                assert (frame["id"], frame["event"]) == (item["cursor"], item["type"])
            found.append(item)
        return found

    def _check_headers(self, where: Sequence[str], answer: httpx.Response) -> None:
        assert "traceparent" in answer.headers
        assert answer.headers["cache-control"] == "no-store"
        for name in self._at(where).get("headers", {}):
            if name.lower() in answer.headers:
                place = self._resolved([*where, "headers", name])
                self._validate(answer.headers[name], [*place, "schema"])
        described = {name.lower() for name in self._at(where).get("headers", {})}
        for name in ("location", "link", "retry-after", "idempotent-replayed", "www-authenticate"):
            assert name not in answer.headers or name in described, f"{name} is not described"

    def _check_body(self, where: Sequence[str], answer: httpx.Response) -> None:
        content = self._at(where).get("content")
        if content is None:
            assert answer.content == b""
            return
        media = answer.headers["content-type"].partition(";")[0]
        assert media in content, f"{media} is not described"
        if answer.request.method == "HEAD":
            return
        if media == EVENTS:
            self.check_events(answer.text)
        elif media.endswith("json"):
            self._validate(answer.json(), [*where, "content", media, "schema"])

    def _check_problem(self, answer: httpx.Response) -> None:
        assert answer.headers["content-type"] == PROBLEM
        problem = answer.json()
        self.check_item(problem, "Problem")
        assert problem["status"] == answer.status_code
        assert unquote(problem["instance"]) == answer.request.url.path
        assert problem["traceId"] == answer.headers["traceparent"].split("-")[1]

    def _operation(self, method: str, path: str) -> Sequence[str] | None:
        wanted = "get" if method == "HEAD" else method.lower()
        for template, item in self._document["paths"].items():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and wanted in item:
                return ["paths", template, wanted]
        return None

    def _resolved(self, place: Sequence[str]) -> Sequence[str]:
        found = self._at(place)
        return found["$ref"].removeprefix("#/").split("/") if "$ref" in found else place

    def _at(self, place: Sequence[str]) -> Any:
        found: Any = self._document
        for step in place:
            found = found[step]
        return found

    def _validate(self, value: object, place: Sequence[str]) -> None:
        pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in place)
        schema = {"$ref": f"{_NAME}#/{pointer}"}
        Draft202012Validator(schema, registry=self._registry, format_checker=_FORMATS).validate(
            value
        )


def _closed(document: Json) -> Json:
    """The same document, stricter than clients need: no member may be undescribed."""
    closed = copy.deepcopy(document)
    for name, schema in closed["components"]["schemas"].items():
        if "properties" in schema and name != "Problem":
            schema.setdefault("additionalProperties", False)
    return closed
