"""The REST door itself: keys, paths, methods, media types, bodies, parameters, traces."""

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from domain.kernel.errors import GobError, QuotaExceeded, Unavailable
from schema.ids import Kind, encode_id
from tests.api.rest_world import PAGE, ROOT, RestWorld, fields_of, problem_of, rest_world
from tests.fakes import say

UNKNOWN = encode_id(Kind.RUN, "019aabcd-ef12-7456-9abc-def012345678")
EXECUTE = f"{ROOT}/agents/execute"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = b'{"agent": {"slug": "default"}, "instruction": "do it"}'
JSON = {"content-type": "application/json"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[RestWorld, None]:
    async with rest_world(tmp_path) as opened:
        yield opened


async def test_the_root_lists_every_path(world: RestWorld):
    async with world.anonymous() as client:
        index = (await client.get(ROOT)).json()

    lines = {(one["method"], one["path"]) for one in index["paths"]}
    described = {
        (method.upper(), path)
        for path, item in (await world.client.get(f"{ROOT}/openapi.json")).json()["paths"].items()
        for method in item
    }
    assert lines == described
    assert ("POST", EXECUTE) in lines
    assert index["openapi"] == f"{ROOT}/openapi.yaml"


async def test_every_kind_of_problem_has_its_section(world: RestWorld):
    problem = problem_of(await world.client.get(f"{ROOT}/nothing"), 404, "NOT_FOUND")

    path, _, section = problem["type"].partition("#")
    async with world.anonymous() as client:
        page = await client.get(path)
    assert page.headers["content-type"] == "text/markdown; charset=utf-8"
    assert f"\n## {section}\n" in page.text


@pytest.mark.parametrize("path", [f"{ROOT}/nothing", f"{ROOT}/", f"{ROOT}/runs", f"{ROOT}/a/b/c"])
async def test_a_path_that_does_not_exist_says_where_to_look(world: RestWorld, path: str):
    problem = problem_of(await world.client.get(path), 404, "NOT_FOUND")

    assert problem["detail"] == f"There is nothing at {path!r}; {ROOT} lists what there is."


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", EXECUTE, "POST, OPTIONS"),
        ("DELETE", f"{ROOT}/runs/{UNKNOWN}", "GET, HEAD, OPTIONS"),
        ("POST", ROOT, "GET, HEAD, OPTIONS"),
        ("TRACE", f"{ROOT}/runs/{UNKNOWN}", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_hears_the_right_ones(
    world: RestWorld, method: str, path: str, allow: str
):
    response = await world.client.request(method, path)

    problem_of(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == allow


async def test_options_tell_the_methods(world: RestWorld):
    async with world.anonymous() as client:
        response = await client.options(f"{ROOT}/runs/{UNKNOWN}")

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["", "/events"])
async def test_head_is_get_without_a_body(world: RestWorld, path: str):
    run = (await world.execute(say("Hello"))).json()
    address = f"{ROOT}/runs/{run['id']}{path}"

    head, get = await world.client.head(address), await world.client.get(address)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert (
            head.headers.get(name, "").partition(";")[0]
            == get.headers.get(name, "").partition(";")[0]
        )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", EXECUTE),
        ("GET", f"{ROOT}/runs/{UNKNOWN}"),
        ("GET", f"{ROOT}/runs/{UNKNOWN}/events"),
        ("POST", f"{ROOT}/runs/{UNKNOWN}/cancel"),
    ],
)
@pytest.mark.parametrize("key", [None, "Bearer nothing", "Basic eDp5"])
async def test_without_a_key_there_is_nothing_to_see(
    world: RestWorld, method: str, path: str, key: str | None
):
    sent = {} if key is None else {"authorization": key}
    async with world.anonymous() as client:
        response = await client.request(method, path, headers=sent)

    problem_of(response, 401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"] == "Bearer"
    assert await world.run_count() == 0


@pytest.mark.parametrize(
    ("path", "query", "where", "words"),
    [
        ("events", "size=1", "size", "no such parameter; there are after, includeDescendants."),
        ("events", "aftre=1", "aftre", "did you mean after?"),
        ("events", "after=1&after=2", "after", "Send this parameter once."),
        ("events", "includeDescendants=yes", "includeDescendants", "Give true or false."),
        ("events", "after=", "after", "Give at least one character"),
        ("events", "after=%FF", "after", "surrogates"),
        ("events", "%FF=1", "?", "no such parameter"),
        ("events", "include_descendants=true", "include_descendants", "no such parameter"),
        ("", "pretty", "pretty", "this path takes none."),
    ],
)
async def test_a_parameter_nobody_knows_is_named(
    world: RestWorld, path: str, query: str, where: str, words: str
):
    address = f"{ROOT}/runs/{UNKNOWN}/{path}".rstrip("/")

    response = await world.client.get(httpx.URL(f"http://localhost{address}?{query}"))

    (found,) = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found[:2] == ("query", where)
    assert words in found[2]


async def test_too_many_parameters_are_not_read(world: RestWorld):
    response = await world.client.get(f"{ROOT}/runs/{UNKNOWN}?{'a=1&' * 200}")

    problem = problem_of(response, 422, "VALIDATION_FAILED")
    assert fields_of(problem) == [("query", "", "Send at most 100 parameters.")]


async def test_a_post_takes_no_parameters(world: RestWorld):
    response = await world.client.post(f"{EXECUTE}?waitSeconds=0", content=GOOD, headers=JSON)

    (found,) = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found[:2] == ("query", "waitSeconds")
    assert await world.run_count() == 0


@pytest.mark.parametrize(
    ("body", "headers", "status", "code", "words"),
    [
        (b"", JSON, 400, "BAD_REQUEST", "line 1, column 1"),
        (b"{", JSON, 400, "BAD_REQUEST", "not valid JSON"),
        (b'{"a": NaN}', JSON, 400, "BAD_REQUEST", "not valid JSON"),
        (b'"\xff"', JSON, 400, "BAD_REQUEST", "not valid JSON in UTF-8"),
        (b"[" * 5000 + b"]" * 5000, JSON, 400, "BAD_REQUEST", "not valid JSON"),
        (b"[]", JSON, 422, "VALIDATION_FAILED", "Give one JSON object."),
        (b"null", JSON, 422, "VALIDATION_FAILED", "Give one JSON object."),
        (GOOD, {}, 415, "UNSUPPORTED_MEDIA_TYPE", "not nothing"),
        (GOOD, {"content-type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE", "text/plain"),
        (
            GOOD,
            {"content-type": "application/json; charset=latin1"},
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "UTF-8",
        ),
        (GOOD, {**JSON, "accept": "text/html"}, 406, "NOT_ACCEPTABLE", "application/json or"),
        (
            GOOD,
            {**JSON, "accept": "application/json;q=0"},
            406,
            "NOT_ACCEPTABLE",
            "text/event-stream",
        ),
    ],
)
async def test_what_is_no_request_is_refused_and_starts_nothing(
    world: RestWorld, body: bytes, headers: dict[str, str], status: int, code: str, words: str
):
    response = await world.client.post(EXECUTE, content=body, headers=headers)

    assert words in problem_of(response, status, code)["detail"]
    assert await world.run_count() == 0


async def test_a_body_of_ten_megabytes_is_too_large(world: RestWorld):
    response = await world.client.post(EXECUTE, content=b"x" * 10_000_000, headers=JSON)

    problem_of(response, 413, "BODY_TOO_LARGE")
    assert await world.run_count() == 0


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json, text/event-stream", "application/json"),
        ("text/event-stream;q=0.5, application/json;q=0.1, */*;q=0", "text/event-stream"),
        ("text/html, */*;q=0.1", "application/json"),
    ],
)
async def test_the_answer_is_what_the_client_wants_most(world: RestWorld, accept: str, media: str):
    first = await world.execute(say("Hello"), idempotencyKey="once")

    again = await world.client.post(
        EXECUTE,
        json={"agent": {"slug": "default"}, "instruction": "do it", "idempotencyKey": "once"},
        headers={"accept": accept},
    )

    assert first.status_code == again.status_code == 200
    assert again.headers["content-type"].partition(";")[0] == media


async def test_the_trace_of_the_caller_goes_on_in_the_run(world: RestWorld):
    sent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    world.api.runs.model.script(say("Hello"))

    response = await world.client.post(EXECUTE, content=GOOD, headers={**JSON, **sent})

    assert response.json()["traceId"] == TRACE
    assert response.headers["traceparent"].startswith(f"00-{TRACE}-")


async def test_an_allowed_page_reads_answers_and_their_headers(world: RestWorld):
    world.api.runs.model.script(say("Hello"))

    response = await world.client.post(EXECUTE, content=GOOD, headers={**JSON, "origin": PAGE})

    assert response.headers["access-control-allow-origin"] == PAGE
    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert {"location", "link", "idempotent-replayed", "retry-after"} <= set(exposed)


async def test_a_page_of_another_origin_starts_nothing(world: RestWorld):
    sent = {**JSON, "origin": "https://evil.example"}

    response = await world.client.post(EXECUTE, content=GOOD, headers=sent)

    problem_of(response, 403, "ORIGIN_NOT_ALLOWED")
    assert "access-control-allow-origin" not in response.headers
    assert await world.run_count() == 0


async def test_another_host_gets_a_problem_too(world: RestWorld):
    response = await world.client.get(ROOT, headers={"host": "evil.example"})

    problem_of(response, 400, "HOST_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("error", "status", "code", "extras"),
    [
        (
            QuotaExceeded("Enough.", quota="runs.active", limit=5, retry_after_s=7),
            429,
            "QUOTA_EXCEEDED",
            {"quota": "runs.active", "limit": 5, "retryAfterSeconds": 7},
        ),
        (Unavailable("The database is away."), 503, "UNAVAILABLE", {"retryAfterSeconds": 1}),
    ],
)
async def test_a_failure_that_passes_says_when_to_come_again(
    world: RestWorld,
    monkeypatch: pytest.MonkeyPatch,
    error: GobError,
    status: int,
    code: str,
    extras: dict[str, object],
):
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(world.api.services.runs, "run", fail)

    response = await world.client.get(f"{ROOT}/runs/{UNKNOWN}")

    problem = problem_of(response, status, code)
    assert {name: problem[name] for name in extras} == extras
    assert response.headers["retry-after"] == str(extras["retryAfterSeconds"])


async def test_a_crash_shows_nothing_of_itself(world: RestWorld, monkeypatch: pytest.MonkeyPatch):
    async def crash(*_: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(world.api.services.runs, "run", crash)

    with capture_logs() as logs:
        response = await world.client.get(f"{ROOT}/runs/{UNKNOWN}")

    problem = problem_of(response, 500, "INTERNAL")
    assert "hunter2" not in response.text
    assert problem["traceId"] in problem["detail"]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["request.crashed"]


async def test_a_stream_that_breaks_ends_with_a_problem(
    world: RestWorld, monkeypatch: pytest.MonkeyPatch
):
    run = (await world.execute(say("Hello"))).json()

    async def broken(*_: object, **__: object) -> AsyncGenerator[None, None]:
        raise Unavailable("The database is away.")
        yield

    monkeypatch.setattr(world.api.services.runs, "stream", broken)

    response = await world.client.get(f"{ROOT}/runs/{run['id']}/events")

    (event,) = world.described.check_events(response.text)
    assert (event["code"], event["detail"]) == ("UNAVAILABLE", "The database is away.")
