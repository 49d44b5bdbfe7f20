"""Tasks, memories and behavior on /ws/stream, each as it is when the frame goes out."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.gob_process import TRACEBACK, GobProcess
from tests.e2e.graphql_client import Client
from tests.e2e.rest_client import RestClient
from tests.e2e.stream_client import Frame, stream_of

CREATE_TASK = """
mutation T($input: CreateTaskInput!) { createTask(input: $input) {
  __typename ... on TaskSuccess { task { id name } } ... on Error { message } } }
"""
SAVE = """
mutation M($input: SaveMemoryInput!) { saveMemory(input: $input) {
  __typename ... on MemorySuccess { memory { id } } ... on Error { message } } }
"""
FORGET = """
mutation F($input: ForgetMemoriesInput!) { forgetMemories(input: $input) { __typename } }
"""
ADJUST = """
mutation B($input: AdjustBehaviorInput!) { adjustBehavior(input: $input) {
  __typename ... on AdjustBehaviorSuccess { profile { id version } } ... on Error { message } } }
"""
START = "mutation S($id: ID!) { runTaskNow(input: {taskId: $id}) { __typename } }"
TASK = {
    "name": "Count",
    "agent": {"slug": "default"},
    "instruction": 'calculate {"expression": "2*21"}',
    "schedule": {"adhoc": {"runNow": True}},
}


@pytest.fixture(scope="module")
def gob(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GobProcess]:
    """One server."""
    with GobProcess(tmp_path_factory.mktemp("nouns")) as process:
        yield process
        assert TRACEBACK not in process.err


async def done(client: Client, document: str, noun: str, given: dict[str, Any]) -> Any:
    (answer,) = (await client.ask(document, {"input": given})).values()
    assert answer["__typename"].endswith("Success"), answer
    return answer.get(noun)


async def test_a_task_is_told_from_its_making_to_the_end_of_its_run(gob: GobProcess):
    async with Client.of(gob) as client, stream_of(gob) as stream:
        await stream.subscribe("t", "task.update", "run.update")
        task = await done(client, CREATE_TASK, "task", TASK)

        def is_done(frame: Frame) -> bool:
            found = frame["data"].get("occurrence")
            return found is not None and found["status"] == "SUCCEEDED"

        seen = await stream.until(is_done)

    told = [frame["data"] for frame in seen if frame["event"] == "task.update"]
    assert {data["taskId"] for data in told} == {task["id"]}
    assert told[0]["change"] == "CREATED"
    assert told[0]["task"]["name"] == "Count"
    assert told[-1]["change"] == "OCCURRENCE"
    run_id = told[-1]["occurrence"]["run"]["id"]
    ends = [f for f in seen if f["event"] == "run.update" and f["data"]["type"] == "RunFinished"]
    assert [frame["data"]["runId"] for frame in ends] == [run_id]


async def test_one_task_is_followed_without_the_others(gob: GobProcess):
    async with Client.of(gob) as client, stream_of(gob) as stream:
        wanted = await done(client, CREATE_TASK, "task", {**TASK, "schedule": {"adhoc": {}}})
        await stream.subscribe("t", "task.update", "run.update", taskId=wanted["id"])
        await done(client, CREATE_TASK, "task", TASK)
        await client.execute('calculate {"expression": "1+1"}', waitSeconds=30)
        await client.ask(START, {"id": wanted["id"]})
        seen = await stream.until(
            lambda frame: (frame["data"].get("occurrence") or {}).get("status") == "SUCCEEDED"
        )

    assert {f["data"]["taskId"] for f in seen if f["event"] == "task.update"} == {wanted["id"]}
    runs = {f["data"]["runId"] for f in seen if f["event"] == "run.update"}
    assert runs == {seen[-1]["data"]["occurrence"]["run"]["id"]}


async def test_a_frame_carries_the_documents_of_rest(gob: GobProcess):
    async with RestClient.of(gob) as rest, stream_of(gob) as stream:
        await stream.subscribe("t", "task.update")
        task = await rest.post("/tasks", {**TASK, "schedule": {"adhoc": {}}})
        created = await stream.heard()
        await rest.send("POST", f"/tasks/{task['id']}/pause", json={"reason": "Holidays"})
        held = await stream.heard()
        shown = await rest.get(f"/tasks/{task['id']}")

    assert (created["data"]["task"], held["data"]["task"]) == (task, shown)
    assert shown["pauseReason"] == "Holidays"


async def test_a_deleted_task_is_watched_to_its_end(gob: GobProcess):
    async with RestClient.of(gob) as rest, stream_of(gob) as stream:
        await stream.subscribe("all", "task.update")
        task = await rest.post("/tasks", {**TASK, "schedule": {"adhoc": {}}})
        first = await stream.heard()
        await rest.send("DELETE", f"/tasks/{task['id']}")
        gone = await stream.heard()
        await stream.send({"type": "unsubscribe", "id": "all"})
        await stream.heard()
        await stream.subscribe("t", "task.update", taskId=task["id"], after=first["cursor"])
        again = await stream.heard()

    assert again == {**gone, "id": "t"}
    assert (again["data"]["change"], again["data"]["task"]) == ("DELETED", None)


async def test_a_memory_is_told_as_it_is_now(gob: GobProcess):
    async with Client.of(gob) as client, stream_of(gob) as stream:
        await stream.subscribe("m", "memory.update")
        memory = await done(client, SAVE, "memory", {"content": "The sky is blue."})
        saved = await stream.heard()
        await client.ask(FORGET, {"input": {"select": {"ids": [memory["id"]]}}})
        forgotten = await stream.heard()

    assert saved["data"]["action"] == "SAVED"
    assert saved["data"]["memory"]["content"] == "The sky is blue."
    assert (forgotten["data"]["action"], forgotten["data"]["memoryId"]) == (
        "FORGOTTEN",
        memory["id"],
    )
    assert forgotten["data"]["memory"]["forgottenAt"] is not None


async def test_new_rules_are_told_with_their_version(gob: GobProcess):
    async with Client.of(gob) as client, stream_of(gob) as stream:
        await stream.subscribe("b", "behavior.update")
        rule = {"statement": "Answer in one sentence."}
        profile = await done(client, ADJUST, "profile", {"add": [rule]})
        frame = await stream.heard()

    assert frame["data"]["profileId"] == profile["id"]
    assert frame["data"]["version"]["version"] == profile["version"]
    rules = frame["data"]["version"]["rules"]
    assert [rule["statement"] for rule in rules] == ["Answer in one sentence."]


BAD = {
    "a run beside a task": (
        {"events": ["task.update"], "runId": "run_AaIFUcbtcACmlahnaKbHiw"},
        "VALIDATION_FAILED",
        ["runId"],
    ),
    "an unknown task": (
        {"events": ["task.update"], "taskId": "task_AaIFUcbtcACmlahnaKbHiw"},
        "NOT_FOUND",
        ["taskId"],
    ),
}


@pytest.mark.parametrize("case", BAD, ids=str)
async def test_what_cannot_be_followed_is_said(gob: GobProcess, case: str):
    given, code, path = BAD[case]
    async with stream_of(gob) as stream:
        await stream.send({"type": "subscribe", "id": "a", **given})
        answer = await stream.heard()

    assert (answer["type"], answer["code"]) == ("error", code)
    assert [field["path"] for field in answer["fields"]] == [path]


async def test_a_key_without_the_scope_is_told_nothing(gob: GobProcess):
    make = (
        'mutation { createApiKey(input: {name: "reader", scopes: [RUNS_READ]})'
        " { ... on CreateApiKeySuccess { secret } } }"
    )
    async with Client.of(gob) as client:
        key = (await client.ask(make))["createApiKey"]["secret"]
        async with stream_of(gob, key=key) as stream:
            await stream.send({"type": "subscribe", "id": "a", "events": ["memory.update"]})
            refused = await stream.heard()
            await stream.subscribe("b", "run.update")
            await done(client, SAVE, "memory", {"content": "Nothing for readers of runs."})
            await client.execute('calculate {"expression": "1+1"}')
            first = await stream.heard()

    assert (refused["code"], refused["id"]) == ("FORBIDDEN", "a")
    assert (first["id"], first["event"]) == ("b", "run.update")
