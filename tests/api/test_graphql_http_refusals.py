"""What GraphQL over HTTP refuses: requests that are none, documents that cannot run, keys."""

import pytest
from structlog.testing import capture_logs

from app.graphql.door import DoorOptions
from app.graphql.gate import Limits
from tests.api.sample_app import (
    GRAPHQL,
    JSON,
    ask,
    beside_access,
    client_of,
    make_app,
    only_error,
    post,
)
from tests.api.sample_schema import GOOD_TOKEN, Seen

SAVE = 'mutation { save(input: {text: "x"}) { __typename } }'


@pytest.mark.parametrize("accept", [JSON, GRAPHQL, "text/event-stream"])
async def test_a_mutation_by_get_is_refused_and_does_nothing(accept: str) -> None:
    seen = Seen()
    async with client_of(make_app(seen), accept=accept) as client:
        response = await client.get("/graphql", params={"query": SAVE})

    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert only_error(response)["message"] == "A mutation must be sent by POST."
    assert seen.saved == []


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
    ],
)
async def test_a_post_of_another_content_type_is_refused_and_does_nothing(
    content_type: str,
) -> None:
    seen = Seen()

    response = await post(
        '{"query": "mutation { save(input: {text: \\"x\\"}) { __typename } }"}',
        seen=seen,
        content_type=content_type,
    )

    assert response.status_code == 415
    assert only_error(response)["extensions"]["code"] == "BAD_REQUEST"
    assert seen.saved == []


async def test_other_methods_are_refused_with_those_that_are_served() -> None:
    async with client_of(make_app()) as client:
        response = await client.put("/graphql", json={"query": "{ hello }"})

    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


async def test_an_unacceptable_media_type_is_refused() -> None:
    response = await post('{"query": "{ hello }"}', accept="image/png")

    assert response.status_code == 406
    assert "application/graphql-response+json" in only_error(response)["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is not valid JSON in UTF-8 (line 1, column 1)."),
        (b"{", "The body is not valid JSON in UTF-8 (line 1, column 2)."),
        (b'{"query": "\xff"}', "The body is not valid JSON in UTF-8 (line 1, column 1)."),
        (b"[]", "The body must be one JSON object with `query`."),
        (b"null", "The body must be one JSON object with `query`."),
        (b'"{ hello }"', "The body must be one JSON object with `query`."),
        (b"{}", "`query` must be a string that holds a GraphQL document."),
        (b'{"query": ""}', "`query` must be a string that holds a GraphQL document."),
        (b'{"query": 7}', "`query` must be a string that holds a GraphQL document."),
        (b'{"query": "{ hello }", "variables": []}', "`variables` must be an object or null."),
        (b'{"query": "{ hello }", "variables": "{}"}', "`variables` must be an object or null."),
        (
            b'{"query": "{ hello }", "operationName": 1}',
            "`operationName` must be a string or null.",
        ),
        (b'{"query": "{ hello }", "extensions": "x"}', "`extensions` must be an object or null."),
    ],
)
@pytest.mark.parametrize("accept", [JSON, GRAPHQL])
async def test_a_body_that_is_no_request_is_refused_by_name(
    body: bytes, message: str, accept: str
) -> None:
    with capture_logs() as logs:
        response = await post(body, accept=accept)

    assert response.status_code == 400
    assert only_error(response) == {"message": message, "extensions": {"code": "BAD_REQUEST"}}
    assert beside_access(logs) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("query=%FF", "`query` is not valid UTF-8."),
        (
            "query=%7Bhello%7D&variables=%7B",
            "`variables` is not valid JSON in UTF-8 (line 1, column 2).",
        ),
        ("query=%7Bhello%7D&variables=%5B%5D", "`variables` must be an object or null."),
        ("", "`query` must be a string that holds a GraphQL document."),
    ],
)
async def test_an_address_that_is_no_request_is_refused_by_name(query: str, message: str) -> None:
    async with client_of(make_app()) as client:
        response = await client.get(f"/graphql?{query}")

    assert response.status_code == 400
    assert only_error(response)["message"] == message


async def test_json_nested_too_deeply_is_refused() -> None:
    deep = "[" * 70 + "]" * 70

    response = await post(f'{{"query": "{{ hello }}", "variables": {{"x": {deep}}}}}')

    assert response.status_code == 400
    assert only_error(response)["extensions"] == {
        "code": "GRAPHQL_LIMIT_EXCEEDED",
        "limit": "jsonDepth",
        "value": 72,
        "maximum": 64,
    }


async def test_json_nested_absurdly_deeply_is_refused() -> None:
    response = await post("[" * 500_000)

    assert response.status_code == 400
    assert only_error(response)["extensions"]["code"] == "BAD_REQUEST"


async def test_a_body_beyond_the_limit_is_refused_before_it_is_read() -> None:
    options = DoorOptions(limits=Limits(body_bytes=100))
    async with client_of(make_app(options=options)) as client:
        response = await client.post("/graphql", json={"query": "{ hello }" + " " * 100})

    assert response.status_code == 413
    assert only_error(response)["extensions"]["limit"] == "bodyBytes"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ hello(name: 7) }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "BAD_USER_INPUT"),
        ("query ($n: String!) { hello(name: $n) }", "BAD_USER_INPUT"),
    ],
)
async def test_a_document_that_is_not_executed_is_400_in_the_new_type_and_200_in_the_old(
    query: str, code: str
) -> None:
    new = await ask(query)
    async with client_of(make_app(), accept=JSON) as client:
        old = await client.post("/graphql", json={"query": query})

    assert (new.status_code, old.status_code) == (400, 200)
    assert only_error(new)["extensions"]["code"] == code
    assert new.json() == old.json()


async def test_an_unknown_field_is_named_with_its_place() -> None:
    error = only_error(await ask("{ hello helo }"))

    assert error == {
        "message": "Cannot query field 'helo' on type 'Query'. Did you mean 'hello'?",
        "locations": [{"line": 1, "column": 9}],
        "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"},
    }


async def test_an_unknown_operation_is_named() -> None:
    error = only_error(await ask("query A { hello }", operationName="Z"))

    assert error["message"] == "Unknown operation named 'Z'."


async def test_a_wrong_variable_is_named_and_changes_nothing() -> None:
    seen = Seen()
    query = "mutation ($i: SaveInput!) { save(input: $i) { __typename } }"

    error = only_error(await ask(query, seen=seen, variables={"i": {"text": "x", "count": "many"}}))

    assert error["message"].startswith("Variable '$i' has invalid value at .count")
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert seen.saved == []


async def test_every_problem_of_an_input_is_named() -> None:
    query = "mutation ($i: SaveInput!) { save(input: $i) { __typename } }"

    response = await ask(query, variables={"i": {"txt": "x"}})

    assert sorted(error["message"] for error in response.json()["errors"]) == [
        (
            "Variable '$i' has invalid value: Expected value of type 'SaveInput' not to include "
            "unknown field 'txt'. Did you mean 'text'? Found: {'txt': 'x'}."
        ),
        (
            "Variable '$i' has invalid value: Expected value of type 'SaveInput' to include "
            "required field 'text', found: {'txt': 'x'}."
        ),
    ]


async def test_an_unknown_key_is_401_with_where_to_find_one() -> None:
    seen = Seen()
    async with client_of(make_app(seen), authorization="Bearer gob_bad") as client:
        response = await client.post("/graphql", json={"query": SAVE})

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert only_error(response) == {
        "message": "This key is not known. Look into DATA_DIR/api-key.",
        "extensions": {"code": "UNAUTHENTICATED"},
    }
    assert seen.saved == []


async def test_another_scheme_than_bearer_is_no_key() -> None:
    async with client_of(make_app(), authorization=f"Basic {GOOD_TOKEN}") as client:
        response = await client.post("/graphql", json={"query": "{ whoami }"})

    assert response.status_code == 401


async def test_a_subscription_without_a_stream_is_refused_with_what_it_needs() -> None:
    seen = Seen()

    response = await ask("subscription { count }", seen=seen)

    assert response.status_code == 400
    assert "text/event-stream" in only_error(response)["message"]
    assert seen.opened == 0
