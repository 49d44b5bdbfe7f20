"""The REST door itself: keys, paths, methods, media types, bodies, parameters, traces."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from domain.kernel.errors import GobError, QuotaExceeded, Unavailable
from schema.ids import Kind, encode_id
from tests.api.rest_world import PAGE, ROOT, RestWorld, problem_of, rest_world
from tests.fakes import say

UNKNOWN = encode_id(Kind.RUN, "019aabcd-ef12-7456-9abc-def012345678")
EXECUTE = f"{ROOT}/agents/execute"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = b'{"agent": {"slug": "default"}, "instruction": "do it"}'
JSON = {"content-type": "application/json"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RestWorld, None]:
    """One world for all of it."""
    async with rest_world(tmp_path_factory.mktemp("rest")) as opened:
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
    once = f"accepting {accept}"
    first = await world.execute(say("Hello"), idempotencyKey=once)

    again = await world.client.post(
        EXECUTE,
        json={"agent": {"slug": "default"}, "instruction": "do it", "idempotencyKey": once},
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
