"""REST of a real server: what a script does with curl, and what it must never see."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import pytest

from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client
from tests.e2e.rest_client import RestClient
from tests.e2e.stored import counts

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SLOW = '{"tokens": 40, "delay_s": 0.05}'
BAD_VALUE = "VALIDATION_FAILED"
SIMULATED = {"provider": "simulated", "name": "simulated"}


@pytest.fixture(scope="module")
def gob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobProcess]:
    """One server for all of it, which must not have choked on anything."""
    with GobProcess(tmp_path_factory.mktemp("rest")) as process:
        yield process
        assert TRACEBACK not in process.err
        assert [line for line in process.lines if line["level"] == "error"] == []


@pytest.fixture
async def client(gob: GobProcess) -> AsyncGenerator[RestClient, None]:
    async with RestClient.of(gob) as opened:
        yield opened


async def test_one_post_runs_an_instruction_that_graphql_sees(gob: GobProcess, client: RestClient):
    run = await client.execute("What is 12% of 300?")

    assert (run["status"], run["offline"]) == ("SUCCEEDED", True)
    assert "36" in run["output"]
    async with Client.of(gob) as other:
        seen = await other.run(run["id"])
    assert (seen["output"], seen["traceId"]) == (run["output"], run["traceId"])


async def test_events_of_an_instruction_come_while_it_works(client: RestClient):
    body = {"agent": {"slug": "default"}, "instruction": SLOW, "model": SIMULATED}
    sent = {"accept": "text/event-stream"}
    kinds, status_on_the_way = [], None

    async with aclosing(
        client.stream("POST", "/agents/execute", json=body, headers=sent)
    ) as events:
        async for event in events:
            kinds.append(event["type"])
            if status_on_the_way is None and event["type"] == "TokenDelta":
                status_on_the_way = (await client.get(f"/runs/{event['runId']}"))["status"]

    assert status_on_the_way == "RUNNING"
    assert (kinds[0], kinds[-1]) == ("RunStarted", "RunFinished")


async def test_a_cut_stream_goes_on_without_a_gap_or_a_repeat(client: RestClient):
    run = await client.execute(SLOW, model=SIMULATED, waitSeconds=0)
    seen = []

    async with aclosing(client.events(run["id"])) as events:
        async for event in events:
            seen.append(event)
            if len(seen) == 4:
                break
    async with aclosing(client.events(run["id"], after=seen[-1]["cursor"])) as events:
        seen += [event async for event in events]

    numbers = [(event.get("fromSeq", event["seq"]), event["seq"]) for event in seen]
    follows = [begin for begin, _ in numbers[1:]]
    assert follows == [end + 1 for _, end in numbers[:-1]]
    text = "".join(event["text"] for event in seen if event["type"] == "TokenDelta")
    assert text == (await client.get(f"/runs/{run['id']}"))["output"]
    assert [event async for event in client.events(run["id"], after=seen[-1]["cursor"])] == []


async def test_what_rest_remembers_graphql_finds(gob: GobProcess, client: RestClient):
    saved = await client.post("/memory/save", {"content": "The gate code is 4711."})

    async with Client.of(gob) as other:
        document = "query ($q: String!) { searchMemory(input: {query: $q}) { hits { memory {"
        found = await other.ask(f"{document} id content }} }} }} }}", {"q": "gate code"})
    hits = (await client.get("/memory/query", params={"q": "gate code"}))["hits"]

    assert found["searchMemory"]["hits"] == [
        {"memory": {"id": saved["id"], "content": "The gate code is 4711."}}
    ]
    assert [hit["memory"] for hit in hits] == [saved]


async def test_behavior_that_rest_adjusts_graphql_shows(gob: GobProcess, client: RestClient):
    done = await client.post("/behavior/adjust", {"add": [{"statement": "Be brief."}]})

    async with Client.of(gob) as other:
        shown = await other.ask("{ behaviorProfile { version rules { id statement } } }")

    (rule,) = done["diff"]["added"]
    assert shown["behaviorProfile"] == {
        "version": done["profile"]["version"],
        "rules": [{"id": rule["id"], "statement": "Be brief."}],
    }


async def test_a_task_that_rest_makes_and_starts_graphql_shows(gob: GobProcess, client: RestClient):
    task = await client.post(
        "/tasks",
        {
            "name": "Report",
            "agent": {"slug": "default"},
            "instruction": "What is 12% of 300?",
            "type": "scheduled",
            "cron": {"minute": "0", "hour": "9"},
            "timezone": "Asia/Tokyo",
        },
    )

    occurrence = await client.post(f"/tasks/{task['id']}/run", {"waitSeconds": 30})

    assert (occurrence["status"], occurrence["trigger"]) == ("SUCCEEDED", "MANUAL")
    async with Client.of(gob) as other:
        document = (
            "query ($id: ID!) { task(id: $id) { nextRunAt lastOccurrence { id run { id } } } }"
        )
        shown = (await other.ask(document, {"id": task["id"]}))["task"]
    assert shown == {
        "nextRunAt": task["nextRunAt"],
        "lastOccurrence": {"id": occurrence["id"], "run": occurrence["run"]},
    }
    assert (await client.send("DELETE", f"/tasks/{task['id']}")).status_code == 204


async def test_a_run_is_stopped_by_a_post_without_a_body(client: RestClient):
    run = await client.execute(SLOW, model=SIMULATED, waitSeconds=0)

    answer = await client.send("POST", f"/runs/{run['id']}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")


async def test_the_trace_of_curl_is_in_the_answer_the_events_and_the_log(gob: GobProcess):
    async with RestClient.of(gob, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01") as client:
        run = await client.execute("What is 2 + 2?")
        events = [event async for event in client.events(run["id"])]

    assert run["traceId"] == TRACE
    assert {event["traceId"] for event in events} == {TRACE}
    lines = gob.wait_for(
        lambda: [line for line in gob.named("http.request") if line.get("trace_id") == TRACE],
        "the request's log line",
    )
    assert lines[0]["path"] == "/api/v1/agents/execute"


@pytest.mark.parametrize(
    ("method", "path", "given", "status", "code"),
    [
        ("POST", "/agents/execute", {"content": b"x" * 10_000_000}, 413, "BODY_TOO_LARGE"),
        ("POST", "/agents/execute", {"content": b"{"}, 400, "BAD_REQUEST"),
        ("POST", "/agents/execute", {"content": b"{}"}, 422, BAD_VALUE),
        ("POST", "/tasks", {"content": b'{"type": "scheduled", "cron": "x"}'}, 422, BAD_VALUE),
        ("GET", "/tasks?page=2", {}, 422, BAD_VALUE),
        ("DELETE", "/tasks/task_1", {}, 404, "NOT_FOUND"),
        ("POST", "/memory/save", {"content": b'{"content": " "}'}, 422, BAD_VALUE),
        ("POST", "/memory/save", {"content": b'{"metadata": 5}'}, 422, BAD_VALUE),
        ("POST", "/behavior/adjust", {"content": b'{"add": [{}]}'}, 422, BAD_VALUE),
        ("GET", "/memory/query?query=x", {}, 422, BAD_VALUE),
        ("POST", "/agents/execute?x=1", {"content": b"{}"}, 422, BAD_VALUE),
        ("GET", "/runs/run_1", {}, 404, "NOT_FOUND"),
        ("GET", "/nothing", {}, 404, "NOT_FOUND"),
        ("PUT", "/runs/run_1", {}, 405, "METHOD_NOT_ALLOWED"),
    ],
)
async def test_bad_input_changes_nothing(
    gob: GobProcess,
    client: RestClient,
    method: str,
    path: str,
    given: dict[str, bytes],
    status: int,
    code: str,
):
    url = f"sqlite:///{gob.folder / 'var' / 'gob.db'}"
    before = await counts(url)

    answer = await client.send(
        method, path, headers={"content-type": "application/json"} if given else {}, **given
    )

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await counts(url) == before
