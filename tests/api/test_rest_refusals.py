"""What REST refuses: a typed problem that names the value, and nothing has changed."""

from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from domain.access.scopes import Scope
from schema.ids import Kind, encode_id
from tests.api.rest_world import ROOT, RestWorld, fields_of, problem_of, rest_world

UNKNOWN = encode_id(Kind.RUN, "019aabcd-ef12-7456-9abc-def012345678")
CONVERSATION = encode_id(Kind.CONVERSATION, "019aabcd-ef12-7456-9abc-def012345678")
EXECUTE = f"{ROOT}/agents/execute"
GOOD = b'{"agent": {"slug": "default"}, "instruction": "do it"}'
JSON = {"content-type": "application/json"}

TASK = {
    "name": "Report",
    "agent": {"slug": "default"},
    "instruction": "do it",
    "type": "scheduled",
    "cron": "0 9 * * *",
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


def replacing(memory_id: str) -> dict[str, object]:
    """A memory that would end another one."""
    return {"content": "x", "supersedes": [memory_id]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RestWorld, None]:
    """One world for all of it, since nothing in it changes."""
    async with rest_world(tmp_path_factory.mktemp("rest")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def world(shared: RestWorld) -> AsyncGenerator[RestWorld, None]:
    """The world; when a test is over, it holds what it held before."""
    before = await shared.counts()
    yield shared
    assert await shared.counts() == before


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "runs/{}"), ("GET", "runs/{}/events"), ("POST", "runs/{}/cancel")],
)
@pytest.mark.parametrize("ident", [UNKNOWN, CONVERSATION, "run_1", "%00", "a" * 300])
async def test_a_run_that_is_not_there_is_not_found(
    world: RestWorld, method: str, path: str, ident: str
):
    response = await world.client.request(method, f"{ROOT}/{path.format(ident)}")

    problem = problem_of(response, 404, "NOT_FOUND")
    assert [found[:2] for found in fields_of(problem)] == [("path", "id")]


@pytest.mark.parametrize(
    ("given", "where", "words"),
    [
        ({"colour": 1}, "colour", "There is no such field"),
        ({"instruction": ""}, "instruction", "Give at least one character"),
        ({"waitSeconds": 301}, "waitSeconds", "Give at most 300."),
        ({"waitSeconds": "5"}, "waitSeconds", "Give a whole number."),
        ({"metadata": []}, "metadata", "Give a JSON object."),
        ({"agent": {}}, "agent", "Give either id or slug."),
        ({"agent": {"id": "x"}}, "agent.id", "is no id"),
        ({"conversationId": "x"}, "conversationId", "is no id"),
        ({"limits": {"maxStep": 1}}, "limits.maxStep", "did you mean maxSteps?"),
        ({"instruction": "a\0b"}, "instruction", "NUL"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_bad_value_is_named_and_starts_nothing(
    world: RestWorld, given: dict[str, object], where: str, words: str, accept: str
):
    body = {"agent": {"slug": "default"}, "instruction": "do it", **given}

    response = await world.client.post(
        f"{ROOT}/agents/execute", json=body, headers={"accept": accept}
    )

    problem = problem_of(response, 422, "VALIDATION_FAILED")
    (found,) = fields_of(problem)
    assert found[:2] == ("body", where)
    assert words in found[2]


async def test_an_agent_that_is_not_there_is_not_found(world: RestWorld):
    response = await world.execute(agent={"slug": "nobody"})

    problem = problem_of(response, 404, "NOT_FOUND")
    assert (problem["id"], problem["fields"][0]["in"]) == ("nobody", "body")


async def test_a_model_that_is_not_there_is_unavailable(world: RestWorld):
    response = await world.execute(model={"provider": "nobody", "name": "x"})

    problem = problem_of(response, 503, "PROVIDER_UNAVAILABLE")
    assert problem["provider"] == "nobody"


@pytest.mark.parametrize("key", ["\x7f", "x" * 201, ""])
async def test_a_bad_idempotency_key_is_refused(world: RestWorld, key: str):
    sent = {**JSON, "idempotency-key": key}

    response = await world.client.post(EXECUTE, content=GOOD, headers=sent)

    problem = problem_of(response, 422, "VALIDATION_FAILED")
    assert fields_of(problem)[0][:2] == ("header", "Idempotency-Key")


@pytest.mark.parametrize("key", [5, "", "x" * 201, {}])
async def test_a_bad_key_in_the_body_is_refused_beside_a_good_header(world: RestWorld, key: object):
    body = {"agent": {"slug": "default"}, "instruction": "do it", "idempotencyKey": key}

    response = await world.client.post(EXECUTE, json=body, headers={"idempotency-key": "good"})

    (found,) = fields_of(problem_of(response, 422, "VALIDATION_FAILED"))
    assert found[:2] == ("body", "idempotencyKey")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "agents/execute", "RUNS_EXECUTE"),
        ("GET", f"runs/{UNKNOWN}", "RUNS_READ"),
        ("GET", f"runs/{UNKNOWN}/events", "RUNS_READ"),
        ("POST", f"runs/{UNKNOWN}/cancel", "RUNS_EXECUTE"),
    ],
)
async def test_a_key_without_the_scope_may_not(
    world: RestWorld, method: str, path: str, scope: str
):
    body = {"agent": {"slug": "default"}, "instruction": "do it"} if "execute" in path else {}
    async with await world.with_scopes(Scope.TASKS_READ) as client:
        response = await client.request(
            method, f"{ROOT}/{path}", json=body if method == "POST" else None
        )

    assert problem_of(response, 403, "FORBIDDEN")["requiredScope"] == scope


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


async def test_a_body_of_ten_megabytes_is_too_large(world: RestWorld):
    response = await world.client.post(EXECUTE, content=b"x" * 10_000_000, headers=JSON)

    problem_of(response, 413, "BODY_TOO_LARGE")


async def test_a_page_of_another_origin_starts_nothing(world: RestWorld):
    sent = {**JSON, "origin": "https://evil.example"}

    response = await world.client.post(EXECUTE, content=GOOD, headers=sent)

    problem_of(response, 403, "ORIGIN_NOT_ALLOWED")
    assert "access-control-allow-origin" not in response.headers


async def test_another_host_gets_a_problem_too(world: RestWorld):
    response = await world.client.get(ROOT, headers={"host": "evil.example"})

    problem_of(response, 400, "HOST_NOT_ALLOWED")


async def test_another_workspace_finds_nothing_of_this_one(shared: RestWorld):
    run = (await shared.execute(waitSeconds=0)).json()
    task = await shared.client.post(f"{ROOT}/tasks", json=TASK)
    memory = await shared.client.post(f"{ROOT}/memory/save", json={"content": "a secret"})
    before = await shared.counts()

    async with await shared.of_another_workspace() as stranger:
        refused = [
            await stranger.get(f"{ROOT}/runs/{run['id']}"),
            await stranger.get(f"{ROOT}/runs/{run['id']}/events"),
            await stranger.post(f"{ROOT}/runs/{run['id']}/cancel"),
            await stranger.get(task.headers["location"]),
            await stranger.delete(task.headers["location"]),
            await stranger.post(f"{task.headers['location']}/run"),
            await stranger.post(f"{ROOT}/memory/save", json=replacing(memory.json()["id"])),
        ]
        lists = [
            (await stranger.get(f"{ROOT}/tasks")).json()["nodes"],
            (await stranger.get(f"{ROOT}/memory/query")).json()["nodes"],
            (await stranger.get(f"{ROOT}/memory/query?q=secret")).json()["hits"],
            (await stranger.get(f"{ROOT}/behavior")).json()["rules"],
        ]

    for response in refused:
        problem_of(response, 404, "NOT_FOUND")
    assert lists == [[], [], [], []]
    assert await shared.counts() == before
