"""The OpenAPI file: current, valid, complete, and true to the models that validate."""

import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from app.middleware.problems import PROBLEM_KINDS
from app.rest.api import NOUNS, pages
from app.rest.yaml_text import to_yaml
from tests.api.rest_world import ROOT, RestWorld, rest_world
from tests.openapi_answers import DescribedAnswers, openapi

PROJECT = Path(__file__).parents[2]
Json = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RestWorld, None]:
    """One world for all of it."""
    async with rest_world(tmp_path_factory.mktemp("rest")) as opened:
        yield opened


def operations() -> Iterator[tuple[str, Json]]:
    for path, item in openapi()["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


OPERATIONS = dict(operations())
KEYWORDS = {"type", "properties", "required", "additionalProperties", "description", "title"}
KEYWORDS |= {"enum", "const", "default", "format", "pattern", "minLength", "maxLength", "items"}
KEYWORDS |= {"minimum", "maximum", "exclusiveMinimum", "minItems", "maxItems", "uniqueItems"}
KEYWORDS |= {"anyOf", "oneOf", "not", "$ref", "discriminator", "patternProperties"}


def keywords(schemas: Iterable[Json]) -> Iterator[str]:
    """Every keyword of the schemas and of those inside them."""
    for schema in schemas:
        if not isinstance(schema, dict):
            continue
        yield from schema
        for part in ("properties", "patternProperties"):
            yield from keywords(schema.get(part, {}).values())
        for part in ("anyOf", "oneOf"):
            yield from keywords(schema.get(part, []))
        yield from keywords(schema.get(part) for part in ("items", "not", "additionalProperties"))


@pytest.mark.parametrize("path", sorted(pages()), ids=str)
def test_a_generated_page_is_current(path: Path):
    assert (PROJECT / path).read_text() == pages()[path], "run `make docs`"


def test_the_file_is_valid_openapi():
    OPENAPI_31_VALIDATOR.validate(openapi())


@pytest.mark.parametrize("name", sorted(openapi()["components"]["schemas"]))
def test_each_schema_is_valid_and_says_what_it_is(name: str):
    schema = openapi()["components"]["schemas"][name]

    Draft202012Validator.check_schema(schema)
    assert schema.get("description"), name
    for field, part in schema.get("properties", {}).items():
        assert part.get("description") or "const" in part, f"{name}.{field} says nothing"


def test_no_word_of_a_schema_is_unknown():
    words = set(keywords(openapi()["components"]["schemas"].values()))
    for operation in OPERATIONS.values():
        words |= set(keywords(one["schema"] for one in operation.get("parameters", [])))

    assert words <= KEYWORDS


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_each_operation_says_what_a_client_needs(name: str):
    operation = OPERATIONS[name]

    assert operation["operationId"]
    assert operation["summary"]
    assert operation["description"]
    assert {"406", "422", "500"} <= set(operation["responses"])
    for parameter in operation.get("parameters", []):
        assert parameter["description"], parameter["name"]
    if operation.get("security") != []:
        assert {"401", "403", "503"} <= set(operation["responses"])
        assert "Needs the scope `" in operation["description"]
    content = operation.get("requestBody", {}).get("content", {})
    assert all(media["examples"] for media in content.values())
    for status, response in operation["responses"].items():
        shown = response.get("content", {}).get("application/json", {})
        assert not shown or "$ref" not in shown["schema"] or shown["examples"], status


def test_operations_have_names_of_their_own():
    names = [operation["operationId"] for operation in OPERATIONS.values()]

    assert len(names) == len(set(names))


def test_every_route_is_described():
    served = {
        (method.upper(), path) for path, item in openapi()["paths"].items() for method in item
    }
    endpoints = {(one.method, ROOT + one.path) for one in NOUNS}

    assert endpoints <= served
    assert {path for _, path in served - endpoints} == {
        ROOT,
        f"{ROOT}/openapi.json",
        f"{ROOT}/openapi.yaml",
        f"{ROOT}/problems",
    }


@pytest.mark.asyncio(loop_scope="module")
async def test_the_server_serves_the_file_that_is_checked_in(world: RestWorld):
    async with world.anonymous() as client:
        as_yaml = await client.get(f"{ROOT}/openapi.yaml")
        as_json = await client.get(f"{ROOT}/openapi.json")

    assert as_yaml.text == (PROJECT / "docs/api/openapi.yaml").read_text()
    assert as_yaml.headers["content-type"] == "application/yaml"
    assert as_json.json() == openapi()


def test_every_reference_leads_somewhere_and_every_schema_is_used():
    text = json.dumps(openapi())
    known = {f"#/components/schemas/{name}" for name in openapi()["components"]["schemas"]}

    used = {part.split('"')[0] for part in text.split('"$ref": "')[1:] if "schemas" in part}

    assert used == known


def test_examples_are_what_they_are_examples_of():
    assert DescribedAnswers().check_examples() >= len(NOUNS)


def test_limits_of_the_models_show():
    found = openapi()["components"]["schemas"]["ExecuteAgentInput"]

    assert found["additionalProperties"] is False
    assert found["required"] == ["agent", "instruction"]
    assert found["properties"]["instruction"]["maxLength"] == 200_000
    wait = found["properties"]["waitSeconds"]
    assert (wait["minimum"], wait["maximum"], wait["default"]) == (0, 300, 300)


def test_every_kind_of_problem_can_be_told():
    statuses = {kind.status for kind in PROBLEM_KINDS.values()} - {405}

    described = {status for one in OPERATIONS.values() for status in one["responses"]}

    assert {str(status) for status in statuses} <= described


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": [1, 2.5, None, True], "c": {"d": []}, "e": {}},
        {"yes": "no", "null": "null", "1": "1", "~": "~", "": ""},
        {"a": "x: y", "b": "# c", "c": "- d", "d": " e", "e": "f ", "f": "%g", "g": "1e3"},
        {"text": "one\n\ntwo\n", "more": "one\ntwo", "odd": "one\n", "end": "a\n\n", "in": " a\nb"},
        {"list": [[1, [2]], {"a": {"b": "c\nd"}}, "e\nf"], "u": "\u2028\x07é\ud83d\ude00"},
        {"2026-11-22": "2026-11-22T09:30:00.000Z", "0x1": "0x1F", "1_0": "1_0", ".inf": ".inf"},
        ["a", {"b": ["c"]}],
    ],
)
def test_what_is_written_as_yaml_reads_as_it_was(value: object):
    value = json.loads(json.dumps(value))

    assert yaml.safe_load(to_yaml(value)) == value
