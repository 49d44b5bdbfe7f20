"""One trace, from the client's header to the last event of its run."""

from pathlib import Path

import pytest

from tests.e2e.gob_process import GobProcess
from tests.e2e.graphql_client import Client
from tests.e2e.stored import rows

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
TRACED_RUNS = "query R($t: String) { runs(filter: {traceId: $t}) { nodes { id traceId } } }"


@pytest.mark.parametrize("wait_seconds", [30, 0], ids=["waiting", "in-the-background"])
async def test_a_traceparent_is_found_in_answer_logs_run_steps_and_events(
    tmp_path: Path, wait_seconds: int
):
    url = f"sqlite:///{tmp_path / 'gob.db'}"
    with GobProcess(tmp_path, {"DB_URL": url}) as gob:
        async with Client.of(gob) as client:
            wanted = {
                "agent": {"slug": "default"},
                "instruction": 'calculate {"expression": "2*21"}',
                "waitSeconds": wait_seconds,
            }
            document = (
                "mutation E($i: ExecuteAgentInput!) { executeAgent(input: $i)"
                " { ... on RunSuccess { run { id traceId } } } }"
            )
            answer = await client.http.post(
                "/graphql",
                json={"query": document, "variables": {"i": wanted}},
                headers={"traceparent": TRACEPARENT},
            )
            run = answer.json()["data"]["executeAgent"]["run"]
            items = await client.story(run["id"])
            found = (await client.ask(TRACED_RUNS, {"t": TRACE}))["runs"]["nodes"]
        said = gob.wait_for_lines("run.ended")

    version, trace, span, flags = answer.headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != TRACEPARENT.split("-")[2]
    assert run["traceId"] == TRACE
    assert found == [run]
    assert {item["traceId"] for item in items} == {TRACE}
    assert [line["trace_id"] for line in said] == [TRACE]
    asked = [line for line in gob.named("http.request") if line["trace_id"] == TRACE]
    assert len(asked) == 1
    assert await rows(url, "SELECT DISTINCT trace_id FROM run_step") == [(TRACE,)]
    assert await rows(url, "SELECT count(*) FROM run_step") == [(3,)]
    assert await rows(url, "SELECT DISTINCT trace_id FROM event WHERE run_id IS NOT NULL") == [
        (TRACE,)
    ]


async def test_a_malformed_traceparent_begins_a_new_trace(tmp_path: Path):
    with GobProcess(tmp_path) as gob:
        async with Client.of(gob, traceparent=f"00-{'0' * 32}-b7ad6b7169203331-01") as client:
            answer = await client.post("{ viewer { scopes } }")

    trace = answer.headers["traceparent"].split("-")[1]
    assert answer.status_code == 200
    assert trace not in {"0" * 32, TRACE}
    assert len(trace) == 32
