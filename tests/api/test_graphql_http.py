"""GraphQL over HTTP: methods, media types, status codes, typed and masked errors."""

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from app.graphql.door import DoorOptions
from app.graphql.gate import Limits
from app.graphql.negotiation import ResponseMedia, is_json_utf8, negotiate
from tests.api.sample_app import GRAPHQL, JSON, ask, client_of, make_app
from tests.api.sample_schema import GOOD_TOKEN, Seen

SAVE = 'mutation { save(input: {text: "x"}) { __typename } }'


async def post(body: bytes | str, *, seen: Seen | None = None, **headers: str) -> httpx.Response:
    async with client_of(make_app(seen)) as client:
        sent = {"content-type": JSON, **{name.replace("_", "-"): v for name, v in headers.items()}}
        return await client.post("/graphql", content=body, headers=sent)


def only_error(response: httpx.Response) -> dict[str, Any]:
    body = response.json()
    assert "data" not in body
    (error,) = body["errors"]
    return error


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, ResponseMedia.JSON),
        ("", ResponseMedia.JSON),
        ("*/*", ResponseMedia.JSON),
        ("application/*", ResponseMedia.JSON),
        (GRAPHQL, ResponseMedia.GRAPHQL),
        ("application/json, application/graphql-response+json", ResponseMedia.JSON),
        ("application/graphql-response+json, application/json;q=0.9", ResponseMedia.GRAPHQL),
        ("application/graphql-response+json;q=0.5, application/json", ResponseMedia.JSON),
        ("APPLICATION/GRAPHQL-RESPONSE+JSON; charset=utf-8", ResponseMedia.GRAPHQL),
        ("application/graphql-response+json;q=0, application/json", ResponseMedia.JSON),
        ("application/json;q=many", None),
        ("text/event-stream", ResponseMedia.EVENT_STREAM),
        ("text/event-stream, application/json", ResponseMedia.JSON),
        (
            "multipart/mixed, application/graphql-response+json, text/event-stream",
            ResponseMedia.GRAPHQL,
        ),
        ("text/html", None),
        ("image/png", None),
    ],
)
def test_the_accept_header_chooses_the_media_type(
    accept: str | None, media: ResponseMedia | None
) -> None:
    assert negotiate(accept) is media


def test_a_page_is_chosen_only_where_there_is_one() -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

    assert negotiate(browser, page=True) is ResponseMedia.HTML
    assert negotiate(browser) is ResponseMedia.JSON
    assert negotiate("*/*", page=True) is ResponseMedia.JSON


@pytest.mark.parametrize(
    ("content_type", "accepted"),
    [
        ("application/json", True),
        ("Application/JSON; Charset=UTF-8", True),
        ('application/json; charset="utf-8"', True),
        ("application/json; charset=utf-16", False),
        ("application/graphql", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        (None, False),
    ],
)
def test_a_body_must_be_json_in_utf8(content_type: str | None, accepted: bool) -> None:
    assert is_json_utf8(content_type) is accepted


async def test_a_post_answers_with_data() -> None:
    response = await ask("query ($n: String!) { hello(name: $n) }", variables={"n": "Ada"})

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{GRAPHQL}; charset=utf-8"
    assert response.json() == {"data": {"hello": "hello Ada"}}


async def test_a_get_answers_queries() -> None:
    async with client_of(make_app()) as client:
        response = await client.get(
            "/graphql",
            params={
                "query": "query A($n: String!) { hello(name: $n) } query B { whoami }",
                "operationName": "A",
                "variables": '{"n": "Zoë"}',
            },
        )

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{JSON}; charset=utf-8"
    assert response.json() == {"data": {"hello": "hello Zoë"}}


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
    assert logs == []


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


async def test_an_unknown_parameter_is_ignored_as_the_specification_says() -> None:
    response = await post('{"query": "{ hello }", "extra": 1, "extensions": {"x": 1}}')

    assert response.json() == {"data": {"hello": "hello world"}}


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


@pytest.mark.parametrize(
    ("kind", "message", "extensions"),
    [
        ("missing", "No run has the id 'run_9'.", {"code": "NOT_FOUND"}),
        ("conflict", "Taken.", {"code": "NAME_TAKEN", "currentVersion": 3}),
        ("forbidden", "This key may not.", {"code": "FORBIDDEN", "requiredScope": "runs:read"}),
        (
            "invalid",
            "input.name: is empty (1 more)",
            {
                "code": "VALIDATION_FAILED",
                "argumentPath": ["input", "name"],
                "fields": [
                    {"path": ["input", "name"], "message": "is empty"},
                    {"path": ["input", "n"], "message": "is too big"},
                ],
            },
        ),
    ],
)
async def test_an_expected_failure_keeps_its_message_and_leaves_no_log_line(
    kind: str, message: str, extensions: dict[str, Any]
) -> None:
    with capture_logs() as logs:
        response = await ask("query ($k: String!) { fail(kind: $k) }", variables={"k": kind})

    assert response.status_code == 200
    assert response.json() == {
        "errors": [
            {
                "message": message,
                "locations": [{"line": 1, "column": 23}],
                "path": ["fail"],
                "extensions": extensions,
            }
        ],
        "data": {"fail": None},
    }
    assert logs == []


async def test_a_crash_is_masked_and_logged_once_with_its_traceback() -> None:
    with capture_logs() as logs:
        response = await ask('{ fail(kind: "crash") }')

    trace_id = response.headers["traceparent"].split("-")[1]
    (error,) = response.json()["errors"]
    (line,) = logs
    assert error["message"] == f"Something went wrong on the server. Quote the trace id {trace_id}."
    assert error["extensions"] == {"code": "INTERNAL", "traceId": trace_id}
    assert "hunter2" not in response.text
    assert (line["event"], line["trace_id"], line["path"]) == (
        "graphql.field_failed",
        trace_id,
        ["fail"],
    )
    assert str(line["exc_info"]) == "secret: the password is hunter2"


async def test_a_crash_of_a_field_that_may_not_be_null_answers_200_with_null_data() -> None:
    response = await ask("{ failHard }")

    assert response.status_code == 200
    assert response.json()["data"] is None


async def test_a_value_that_does_not_fit_the_schema_is_masked() -> None:
    response = await ask('{ broken(kind: "range") { count } }')

    assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["INTERNAL"]
    assert response.json()["data"] == {"broken": None}


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


async def test_a_known_key_is_who_calls() -> None:
    async with client_of(make_app(), authorization=f"bearer {GOOD_TOKEN}") as client:
        response = await client.post("/graphql", json={"query": "{ whoami }"})

    assert response.json() == {"data": {"whoami": "owner"}}


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
