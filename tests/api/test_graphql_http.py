"""GraphQL over HTTP: media types, answers by both methods, typed and masked errors."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from app.graphql.negotiation import ResponseMedia, is_json_utf8, negotiate
from tests.api.sample_app import GRAPHQL, JSON, ask, beside_access, client_of, make_app, post
from tests.api.sample_schema import GOOD_TOKEN


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


async def test_an_unknown_parameter_is_ignored_as_the_specification_says() -> None:
    response = await post('{"query": "{ hello }", "extra": 1, "extensions": {"x": 1}}')

    assert response.json() == {"data": {"hello": "hello world"}}


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
    assert beside_access(logs) == []


async def test_a_crash_is_masked_and_logged_once_with_its_traceback() -> None:
    with capture_logs() as logs:
        response = await ask('{ fail(kind: "crash") }')

    trace_id = response.headers["traceparent"].split("-")[1]
    (error,) = response.json()["errors"]
    (line,) = beside_access(logs)
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


async def test_a_known_key_is_who_calls() -> None:
    async with client_of(make_app(), authorization=f"bearer {GOOD_TOKEN}") as client:
        response = await client.post("/graphql", json={"query": "{ whoami }"})

    assert response.json() == {"data": {"whoami": "owner"}}
