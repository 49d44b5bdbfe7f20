"""What the tests of tasks send, and how they read a stream that has no end."""

import asyncio
from contextlib import aclosing
from typing import Any

import orjson

from schema.ids import Kind, encode_id
from tests.api.api_world import ApiWorld

UNKNOWN = encode_id(Kind.TASK, "019aabcd-ef12-7456-9abc-def012345678")
AGENT = encode_id(Kind.AGENT, "019aabcd-ef12-7456-9abc-def012345678")
NOW = "2023-11-14T22:13:20.000Z"
"""Where the stepped clock of the tests stands at first."""
HOURLY = {"scheduled": {"cron": {"expression": "0 * * * *"}}}
_ERRORS = """
    __typename
    ... on Error { code message path }
    ... on ValidationFailed { fields { path message } }
    ... on NotFound { id }
    ... on Conflict { currentVersion }
    ... on Forbidden { requiredScope }
"""
_TASK = (
    "... on TaskSuccess { task { id name status pauseReason priority endsAt nextRunAt version } }"
)
CREATE = (
    "mutation ($input: CreateTaskInput!) { createTask(input: $input) {" + _TASK + _ERRORS + "} }"
)
UPDATE = (
    "mutation ($input: UpdateTaskInput!) { updateTask(input: $input) {" + _TASK + _ERRORS + "} }"
)
PAUSE = "mutation ($input: PauseTaskInput!) { pauseTask(input: $input) {" + _TASK + _ERRORS + "} }"
RESUME = (
    "mutation ($input: ResumeTaskInput!) { resumeTask(input: $input) {"
    + _TASK
    + _ERRORS.replace("... on ValidationFailed { fields { path message } }", "")
    + "} }"
)
DELETE = (
    "mutation ($input: DeleteTaskInput!) { deleteTask(input: $input) {"
    " ... on DeleteSuccess { deletedId }"
    + _ERRORS.replace("... on ValidationFailed { fields { path message } }", "")
    + "} }"
)
RUN_NOW = (
    "mutation ($input: RunTaskNowInput!) { runTaskNow(input: $input) {"
    " ... on RunTaskNowSuccess { replayed occurrence {"
    " id trigger status reason scheduledFor task { id } run { id status inputs instruction }"
    " attempts { id } } }" + _ERRORS + "} }"
)
UPDATES = """
subscription ($taskId: ID, $after: String) {
  taskUpdates(taskId: $taskId, after: $after) {
    __typename
    ... on Event { cursor traceId }
    ... on TaskUpdate { change taskId task { id name } occurrence { status trigger } }
  }
}
"""


async def created(world: ApiWorld, **given: Any) -> dict[str, Any]:
    """Ask for a task of the default agent and return the answer."""
    values = {
        "name": "Report",
        "agent": {"slug": "default"},
        "instruction": "Write it.",
        "schedule": {"adhoc": {}},
        **given,
    }
    return (await world.ask(CREATE, input=values))["createTask"]


async def made(world: ApiWorld, **given: Any) -> dict[str, Any]:
    """Make a task and return it."""
    return (await created(world, **given))["task"]


async def names(world: ApiWorld, **given: Any) -> list[str]:
    """List the names of tasks."""
    data = await world.ask(
        "query ($filter: TaskFilter, $orderBy: TaskOrder! = NAME_ASC) {"
        " tasks(filter: $filter, orderBy: $orderBy) { nodes { name } } }",
        **given,
    )
    return [node["name"] for node in data["tasks"]["nodes"]]


async def first_of(
    world: ApiWorld, document: str, count: int, **variables: Any
) -> list[dict[str, Any]]:
    """Follow a subscription that has no end and return its first events."""
    operation, call = world._admit(document, None, variables)
    stream = await world.engine.subscribe(operation, call)
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(20), aclosing(stream.payloads()) as payloads:
        async for payload in payloads:
            found.append(orjson.loads(payload)["data"])
            if len(found) == count:
                break
    return found
