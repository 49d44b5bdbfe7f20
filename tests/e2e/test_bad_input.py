"""Bad input over HTTP: a typed error that names what and where, and nothing has changed."""

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

import httpx
import pytest

from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import CANCEL, EXECUTE, Client
from tests.e2e.stored import counts

GRAPHQL = "application/graphql-response+json"
NO_RUN = "run_AaIFUcbtcACmlahnaKbHiw"
TREE = "{" + "a{" * 200 + "a" + "}" * 201

Where = Sequence[str]


@pytest.fixture(scope="module")
def gob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobProcess]:
    """One server for all of it, which must not have choked on anything."""
    with GobProcess(tmp_path_factory.mktemp("abused")) as process:
        yield process
        assert TRACEBACK not in process.err
        assert [line for line in process.lines if line["level"] == "error"] == []


@pytest.fixture
async def client(gob: GobProcess) -> AsyncGenerator[Client, None]:
    """A client; when its test is over, the database is as it was."""
    url = f"sqlite:///{gob.folder / 'var' / 'gob.db'}"
    before = await counts(url)
    async with Client.of(gob) as opened:
        yield opened
        answer = await opened.http.get("/readyz")
    assert answer.json()["status"] == "ok"
    assert await counts(url) == before


async def send(client: Client, document: str, variables: Mapping[str, Any]) -> httpx.Response:
    """Send an operation as a client that wants the status codes of GraphQL over HTTP."""
    body = {"query": document, "variables": variables}
    return await client.http.post("/graphql", json=body, headers={"accept": GRAPHQL})


def execution(**given: Any) -> Mapping[str, Any]:
    """The variables of an executeAgent with something odd in them."""
    return {"input": {"agent": {"slug": "default"}, "instruction": "add 1 and 2", **given}}


MALFORMED = {
    "unknown field": ("{ viewer { nothing } }", {}, "GRAPHQL_VALIDATION_FAILED", "'nothing'"),
    "unknown input": (EXECUTE, execution(colour=1), "BAD_USER_INPUT", "'colour'"),
    "unknown argument": (
        "{ runs(size: 1) { nodes { id } } }",
        {},
        "GRAPHQL_VALIDATION_FAILED",
        "'size'",
    ),
    "wrong type": (EXECUTE, execution(waitSeconds="ten"), "BAD_USER_INPUT", ".waitSeconds"),
    "wrong type deep": (
        EXECUTE,
        execution(limits={"maxSteps": 1.5}),
        "BAD_USER_INPUT",
        ".limits.maxSteps",
    ),
    "null": (EXECUTE, {"input": None}, "BAD_USER_INPUT", "$input"),
    "missing": (EXECUTE, {}, "BAD_USER_INPUT", "$input"),
    "two of one": (
        EXECUTE,
        execution(agent={"id": "a", "slug": "b"}),
        "BAD_USER_INPUT",
        ".agent",
    ),
    "syntax": ("{ viewer {", {}, "GRAPHQL_PARSE_FAILED", "Expected Name"),
    "too deep": (TREE, {}, "GRAPHQL_LIMIT_EXCEEDED", "nesting"),
    "no such operation": (
        "query A { viewer { scopes } } query B { viewer { scopes } }",
        {},
        "",
        "",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_operation_is_a_400_that_names_the_place(client: Client, name: str):
    document, variables, code, named = MALFORMED[name]

    answer = await send(client, document, variables)

    errors = answer.json()["errors"]
    assert answer.status_code == 400
    assert "data" not in answer.json()
    assert errors[0]["extensions"]["code"].startswith(code)
    assert named in errors[0]["message"]


REFUSED: Mapping[str, tuple[Mapping[str, Any], str, Where]] = {
    "too long": ({"instruction": "x" * 200_001}, "ValidationFailed", ["instruction"]),
    "unstorable": ({"instruction": "a\0b"}, "ValidationFailed", ["instruction"]),
    "too much": ({"waitSeconds": 301}, "ValidationFailed", ["waitSeconds"]),
    "too little": ({"limits": {"maxSteps": 0}}, "ValidationFailed", ["limits", "maxSteps"]),
    "too many": ({"allowedTools": ["*"] * 101}, "ValidationFailed", ["allowedTools"]),
    "a list": ({"inputs": [1]}, "ValidationFailed", ["inputs"]),
    "unknown slug": ({"agent": {"slug": "nobody"}}, "NotFound", ["agent"]),
    "no id": ({"agent": {"id": "nonsense"}}, "ValidationFailed", ["agent", "id"]),
    "another's id": ({"agent": {"id": NO_RUN}}, "NotFound", ["agent", "id"]),
    "unknown conversation": (
        {"conversationId": "conv_AaIFUcbtcACmlahnaKbHiw"},
        "NotFound",
        ["conversationId"],
    ),
    "unknown model": (
        {"model": {"provider": "nobody", "name": "x"}},
        "ProviderUnavailable",
        ["model", "provider"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_value_that_cannot_be_is_refused_by_type_and_path(client: Client, name: str):
    given, kind, path = REFUSED[name]

    answer = await send(client, EXECUTE, execution(**given))

    refusal = answer.json()["data"]["executeAgent"]
    assert answer.status_code == 200
    assert (refusal["__typename"], refusal["path"]) == (kind, path)
    if kind == "ValidationFailed":
        assert [problem["path"] for problem in refusal["fields"]] == [path]


async def test_an_agent_with_two_faults_is_told_both(client: Client):
    document = (
        "mutation C($input: CreateAgentInput!) { createAgent(input: $input) {"
        " ... on ValidationFailed { fields { path message } } } }"
    )
    wanted = {"name": "n" * 201, "slug": "Not A Slug"}

    answer = await send(client, document, {"input": wanted})

    fields = answer.json()["data"]["createAgent"]["fields"]
    assert [problem["path"] for problem in fields] == [["name"], ["slug"]]


async def test_a_run_that_is_not_there_cannot_be_cancelled(client: Client):
    answer = await client.cancel(NO_RUN)

    assert (answer["__typename"], answer["path"]) == ("NotFound", ["runId"])
    assert answer["message"] == f"No run has the id {NO_RUN!r}."


PAGES = {
    "garbage cursor": ('{ runs(after: "garbage") { nodes { id } } }', "BAD_CURSOR", ["after"]),
    "too large a page": ("{ runs(first: 101) { nodes { id } } }", "VALIDATION_FAILED", ["first"]),
    "no id": ('{ run(id: "garbage") { id } }', "VALIDATION_FAILED", ["id"]),
}


@pytest.mark.parametrize("name", PAGES)
async def test_a_query_with_an_odd_argument_names_it(client: Client, name: str):
    document, code, path = PAGES[name]

    answer = await send(client, document, {})

    extensions = answer.json()["errors"][0]["extensions"]
    assert (extensions["code"], extensions["argumentPath"]) == (code, path)


JSON = {"content-type": "application/json"}
BODIES: Mapping[str, tuple[bytes, Mapping[str, str], int, str]] = {
    "no JSON": (b"hello", JSON, 400, "The body is not valid JSON in UTF-8 (line 1, column 1)."),
    "half a JSON": (b'{"query": ', JSON, 400, "The body is not valid JSON in UTF-8"),
    "bad UTF-8": (b'{"query": "\xff\xfe"}', JSON, 400, "The body is not valid JSON in UTF-8"),
    "half a character": (rb'{"query": "\ud800"}', JSON, 400, "The body is not valid JSON in UTF-8"),
    "a list": (b"[]", JSON, 400, "The body must be one JSON object"),
    "no document": (b"{}", JSON, 400, "`query`"),
    "a number": (b'{"query": 5}', JSON, 400, "`query` must be a string"),
    "odd variables": (b'{"query": "{a}", "variables": []}', JSON, 400, "`variables` must be"),
    "nothing": (b"", JSON, 400, "The body is not valid JSON in UTF-8"),
    "a form": (b"query=1", {"content-type": "text/plain"}, 415, "application/json"),
    "too much": (b" " * (1 << 20) + b"{}", JSON, 413, "the limit is 1048576"),
    "deep": (
        b'{"query": "{a}", "variables": {"a": ' + b"[" * 500 + b"]" * 500 + b"}}",
        JSON,
        400,
        "",
    ),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_no_request_says_what_it_should_be(client: Client, name: str):
    body, headers, status, said = BODIES[name]

    answer = await client.http.post("/graphql", content=body, headers=headers)

    assert answer.status_code == status
    assert said in answer.json()["errors"][0]["message"]


PLACES = {
    "unknown path": ("GET", "/nowhere", {}, 404, "NOT_FOUND"),
    "unknown method": ("POST", "/healthz", {}, 405, "METHOD_NOT_ALLOWED"),
    "foreign host": ("GET", "/graphql", {"host": "evil.example"}, 400, "HOST_NOT_ALLOWED"),
    "foreign page": (
        "POST",
        "/graphql",
        {"origin": "http://evil.example"},
        403,
        "ORIGIN_NOT_ALLOWED",
    ),
}


@pytest.mark.parametrize("name", PLACES)
async def test_a_wrong_door_answers_json(client: Client, name: str):
    method, path, headers, status, code = PLACES[name]

    answer = await client.http.request(method, path, headers=headers)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == code


async def test_a_mutation_cannot_be_sent_by_get(client: Client):
    variables = json.dumps({"input": {"runId": NO_RUN}})

    answer = await client.http.get("/graphql", params={"query": CANCEL, "variables": variables})

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_key_that_is_none_changes_nothing(gob: GobProcess, client: Client):
    async with Client(gob.address, gob.key[:-1] + "x") as stranger:
        answer = await stranger.post(EXECUTE, execution())

    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
