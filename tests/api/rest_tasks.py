"""What the tests of tasks over REST send, and the same rows as GraphQL shows them."""

from typing import Any

import httpx

from tests.api.rest_world import ROOT, RestWorld
from tests.domain.task_world import TaskWorld

TASKS = f"{ROOT}/tasks"
OCCURRENCES = f"{ROOT}/occurrences"
FAR = "2099-01-01T00:00:00.000Z"
HOURLY = {"type": "scheduled", "cron": "0 * * * *"}
OCCURRENCE = "id task { id } trigger scheduledFor status reason run { id }"
TASK = f"""
id name status pauseReason agent {{ id }} conversation {{ id }} instruction inputs
schedule {{ __typename summary ... on PlannedSchedule {{ times }}
           ... on CronSchedule {{ expression timezone }} }}
startsAt endsAt retry {{ maxAttempts backoffSeconds maxBackoffSeconds retryOn }} overlapPolicy
missedRunPolicy graceSeconds timeoutSeconds jitterSeconds maxConcurrency priority nextRunAt
lastOccurrence {{ {OCCURRENCE} }}
consecutiveFailures pauseAfterFailures maxRuns metadata version createdAt updatedAt
"""
RUN = """
id agent { id } agentVersion conversation { id } parent { id } retryOf { id } status statusReason
instruction inputs output outputData error { code message retryable } depth attempt
usage { inputTokens outputTokens cachedTokens reasoningTokens modelCalls toolCalls costUsd }
offline traceId metadata createdBy createdAt startedAt finishedAt
"""
KINDS = {"AdhocSchedule": "adhoc", "PlannedSchedule": "planned", "CronSchedule": "scheduled"}


def task(**given: Any) -> dict[str, Any]:
    """A task on demand with something else in it."""
    plain = {"name": "Report", "agent": {"slug": "default"}, "instruction": "do it"}
    return {**plain, "type": "adhoc", **given}


async def made(world: RestWorld, **given: Any) -> dict[str, Any]:
    """Make a task and return it."""
    response = await world.client.post(TASKS, json=task(**given))
    assert response.status_code == 201, response.text
    return response.json()


async def nodes(world: RestWorld, address: str) -> list[dict[str, Any]]:
    """The nodes of a list that must be there."""
    response = await world.client.get(httpx.URL(f"http://localhost{address}"))
    assert response.status_code == 200, response.text
    return response.json()["nodes"]


async def names(world: RestWorld, query: str = "") -> list[str]:
    """List the names of tasks."""
    return [node["name"] for node in await nodes(world, f"{TASKS}?{query}")]


async def shown(world: RestWorld, task_id: str) -> dict[str, Any]:
    """A task as GraphQL shows it, its kind of schedule named as REST does."""
    found = await world.api.ask(f"query ($id: ID!) {{ task(id: $id) {{ {TASK} }} }}", id=task_id)
    schedule = found["task"]["schedule"]
    schedule["type"] = KINDS[schedule.pop("__typename")]
    return found["task"]


def firing(world: RestWorld) -> TaskWorld:
    """The same tasks with a scheduler and workers, when asked for."""
    service = world.api.services.tasks
    return TaskWorld(runs=world.api.runs, commits=service._commits, service=service)
