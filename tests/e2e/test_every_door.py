"""What one door does, the others see: embedded, and as server with two workers over Redis."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gob_process import TRACEBACK, GobProcess, run_gob
from tests.e2e.graphql_client import Client
from tests.e2e.rest_client import RestClient
from tests.e2e.stored import new_database, rows
from tests.e2e.stream_client import Frame, StreamClient, stream_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
UPDATES = """
subscription U($after: String) { taskUpdates(after: $after) {
  __typename ... on TaskUpdate { taskId task { status } occurrence { status run { id output } } }
} }
"""
SEARCH = """
query S($input: SearchMemoryInput!) { searchMemory(input: $input) { hits { memory { id } } } }
"""
AUDIT = """
query A($trace: String) { auditLog(filter: {traceId: $trace}) { nodes { action actor traceId } } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The processes of one installation; the first takes requests, the last does the work."""

    processes: list[GobProcess]
    database_url: str

    @property
    def door(self) -> GobProcess:
        """The process that requests are sent to."""
        return self.processes[0]


@pytest.fixture(params=["embedded", "server"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[House, None]:
    """One process on SQLite, or a server and two workers on PostgreSQL and Redis."""
    async with AsyncExitStack() as stack:
        if request.param == "embedded":
            url = f"sqlite:///{tmp_path / 'gob.db'}"
            commands, settings = ["serve"], {"DB_URL": url}
        else:
            server = request.getfixturevalue("postgres_server")
            url = await stack.enter_async_context(new_database(server))
            redis_url = request.getfixturevalue("redis_url")
            commands, settings = (
                ["serve", "worker", "worker"],
                {"DB_URL": url, "REDIS_URL": redis_url},
            )
            assert run_gob(tmp_path / "migrating", "migrate", settings=settings).code == 0
        processes = [
            stack.enter_context(GobProcess(tmp_path / f"{n}", settings, arguments=[command]))
            for n, command in enumerate(commands)
        ]
        yield House(processes=processes, database_url=url)
        assert [process.err for process in processes if TRACEBACK in process.err] == []


async def beginning(client: Client) -> str:
    """A cursor before all that is to come."""
    run = await client.execute('calculate {"expression": "1"}', waitSeconds=30)
    return (await client.story(run["id"]))[-1]["cursor"]


async def told_by_graphql(client: Client, task_id: str, after: str) -> Any:
    """The run of a task as `taskUpdates` tells that both have come to their end."""
    run: Any = None
    async with aclosing(client.subscribe(UPDATES, {"after": after})) as stream:
        async for data in stream:
            update = data["taskUpdates"]
            if update.get("taskId") != task_id:
                continue
            occurrence = update["occurrence"] or {}
            run = occurrence["run"] if occurrence.get("status") == "SUCCEEDED" else run
            if run is not None and update["task"]["status"] == "COMPLETED":
                return run
    raise AssertionError("The stream ended.")


async def told_by_socket(stream: StreamClient) -> str:
    """The run of the task that is followed, once it has succeeded."""

    def is_done(frame: Frame) -> bool:
        return (frame["data"].get("occurrence") or {}).get("status") == "SUCCEEDED"

    return (await stream.until(is_done))[-1]["data"]["occurrence"]["run"]["id"]


async def test_a_task_made_by_rest_fires_once_and_every_door_sees_it(house: House):
    spec: dict[str, Any] = {
        "name": "Soon",
        "agent": {"slug": "default"},
        "instruction": 'calculate {"expression": "2*21"}',
        "type": "planned",
    }
    door = house.door
    async with Client.of(door) as client, RestClient.of(door) as rest, stream_of(door) as stream:
        after = await beginning(client)
        spec["times"] = [(datetime.now(UTC) + timedelta(seconds=3)).isoformat()]
        task = await rest.post("/tasks", spec)
        await stream.subscribe("t", "task.update", taskId=task["id"], after=after)
        run, run_id = await asyncio.gather(
            told_by_graphql(client, task["id"], after), told_by_socket(stream)
        )
        seen = await rest.get(f"/tasks/{task['id']}")
        ended = await rest.get(f"/runs/{run_id}")

    assert run == {"id": run_id, "output": "2*21 = 42"}
    assert (seen["status"], seen["nextRunAt"]) == ("COMPLETED", None)
    assert (ended["status"], ended["output"]) == ("SUCCEEDED", run["output"])
    assert await rows(house.database_url, "SELECT status, attempts FROM occurrence") == [
        ("SUCCEEDED", 1)
    ]


async def test_a_memory_saved_by_rest_is_found_by_graphql_and_recalled_by_a_run(house: House):
    door = house.door
    async with Client.of(door) as client, RestClient.of(door) as rest:
        saved = await rest.post("/memory/save", {"content": "The deploy runs on Friday"})
        asked = {"input": {"query": "When is the deploy?"}}
        found = (await client.ask(SEARCH, asked))["searchMemory"]["hits"]
        run = await rest.execute('recall {"query": "deploy"}')

    assert [hit["memory"]["id"] for hit in found] == [saved["id"]]
    assert run["status"] == "SUCCEEDED"
    assert "The deploy runs on Friday" in run["output"]


async def test_one_trace_is_found_wherever_a_request_leaves_something(house: House):
    door = house.door
    async with (
        Client.of(door) as client,
        RestClient.of(door, traceparent=TRACEPARENT) as rest,
        stream_of(door) as stream,
    ):
        await stream.subscribe("r", "run.update")
        answer = await rest.send(
            "POST",
            "/agents/execute",
            json={
                "agent": {"slug": "default"},
                "instruction": 'calculate {"expression": "2*21"}',
                "waitSeconds": 0,
            },
        )
        frames = await stream.until(lambda frame: frame["data"]["type"] == "RunFinished")
        run = answer.json()
        story = await client.story(run["id"])
        audit = (await client.ask(AUDIT, {"trace": TRACE}))["auditLog"]["nodes"]
        kept = await rows(
            house.database_url,
            "SELECT 'run', trace_id FROM run UNION SELECT kind, trace_id FROM run_step"
            " UNION SELECT 'event', trace_id FROM event",
        )
    worked = [line for process in house.processes for line in process.named("run.ended")]
    asked = [line["path"] for line in door.named("http.request") if line["trace_id"] == TRACE]

    assert answer.status_code == 202
    assert answer.headers["traceparent"].split("-")[1] == TRACE
    assert run["traceId"] == TRACE
    assert {frame["traceId"] for frame in frames} == {TRACE}
    assert {item["traceId"] for item in story} == {TRACE}
    results = [item for item in story if item["__typename"] == "ToolCallFinished"]
    assert [item["traceId"] for item in results] == [TRACE]
    assert sorted(line["action"] for line in audit) == ["run.started", "tool.called"]
    assert {line["traceId"] for line in audit} == {TRACE}
    assert sorted(set(kept)) == [
        ("MODEL_CALL", TRACE),
        ("TOOL_CALL", TRACE),
        ("event", TRACE),
        ("run", TRACE),
    ]
    assert [line["trace_id"] for line in worked] == [TRACE]
    assert asked == ["/api/v1/agents/execute"]
