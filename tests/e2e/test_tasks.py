"""Tasks fire once, embedded and with two workers, and are seen live; downtime loses none."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack, aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gob_process import TRACEBACK, GobProcess, run_gob
from tests.e2e.graphql_client import Client
from tests.e2e.stored import new_database, rows
from tests.server_processes import PostgresServer

# A task of every minute is due after one at the latest.
LONGEST_S = 120
SIMULATED = {"MODEL_PROVIDER": "simulated"}
QUICK = {**SIMULATED, "LEASE_S": "2", "LEASE_GIVE_UP_S": "1.5", "LEASE_RENEW_S": "0.3"}
ANSWER = '{"tokens": 3, "delay_s": 0}'
EACH_MINUTE = {"scheduled": {"cron": {"expression": "* * * * *"}}}
CREATE = """
mutation ($input: CreateTaskInput!) {
  createTask(input: $input) { __typename ... on TaskSuccess { task { id } } }
}
"""
DELETE = "mutation ($input: DeleteTaskInput!) { deleteTask(input: $input) { __typename } }"
UPDATES = """
subscription ($after: String) {
  taskUpdates(after: $after) {
    __typename
    ... on TaskUpdate { taskId change occurrence { id status trigger run { output } } }
  }
}
"""
FIRED = """
SELECT task.name, occurrence.status, occurrence.attempts, (
    SELECT count(*) FROM run WHERE run.occurrence_id = occurrence.id
) FROM occurrence JOIN task ON task.id = occurrence.task_id ORDER BY task.name, scheduled_for
"""


OUTCOMES = """
SELECT task.name, trigger, occurrence.status, scheduled_for, (
    SELECT count(*) FROM run WHERE run.occurrence_id = occurrence.id
) FROM occurrence JOIN task ON task.id = occurrence.task_id ORDER BY task.name, scheduled_for
"""
IN_ORDER = """
SELECT scheduled_for FROM run JOIN occurrence ON occurrence.id = run.occurrence_id
    JOIN task ON task.id = occurrence.task_id WHERE task.name = 'all' ORDER BY run.started_at
"""
HOURS = 24
HOUR_US = 3_600_000_000
DAY_US = HOURS * HOUR_US


def in_seconds(seconds: int) -> Mapping[str, Any]:
    """A schedule of one moment."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return {"planned": {"times": [moment.isoformat().replace("+00:00", "Z")]}}


async def create(client: Client, name: str, schedule: Mapping[str, Any], **given: Any) -> str:
    """Make a task of the default agent and return its id."""
    values = {
        "name": name,
        "agent": {"slug": "default"},
        "instruction": ANSWER,
        "schedule": schedule,
        **given,
    }
    made = (await client.ask(CREATE, {"input": values}))["createTask"]
    assert made["__typename"] == "TaskSuccess", made
    return made["task"]["id"]


async def beginning(client: Client) -> str:
    """A cursor from which to follow."""
    run = await client.execute(ANSWER, waitSeconds=20)
    return (await client.story(run["id"]))[-1]["cursor"]


async def until_done(
    client: Client, after: str, successes: Mapping[str, int]
) -> list[Mapping[str, Any]]:
    """The updates up to so many successful occurrences of each of the tasks."""
    seen: list[Mapping[str, Any]] = []
    done: dict[str, set[str]] = {task_id: set() for task_id in successes}
    subscribing = aclosing(client.subscribe(UPDATES, {"after": after}))
    async with asyncio.timeout(LONGEST_S), subscribing as stream:
        async for data in stream:
            update = data["taskUpdates"]
            if update["__typename"] == "TaskUpdate":
                seen.append(update)
                # Read when it is told, so that an earlier update may show the success too.
                if (update["occurrence"] or {}).get("status") == "SUCCEEDED":
                    done.get(update["taskId"], set()).add(update["occurrence"]["id"])
            if all(len(done[task_id]) >= count for task_id, count in successes.items()):
                break
    return seen


def story_of(task_id: str, updates: list[Mapping[str, Any]]) -> list[str]:
    """What was told of a task, up to its completion."""
    return [update["change"] for update in updates if update["taskId"] == task_id]


async def check_both_fire(client: Client, watcher: Client, database_url: str) -> None:
    """A task planned ahead and one on cron run once each, and any door tells of them."""
    after = await beginning(client)
    planned = await create(client, "planned", in_seconds(2))
    cron = await create(client, "cron", EACH_MINUTE)

    updates = await until_done(watcher, after, {planned: 1, cron: 1})
    await client.ask(DELETE, {"input": {"taskId": cron}})
    fired = await rows(database_url, FIRED)

    assert story_of(planned, updates)[:3] == ["CREATED", "OCCURRENCE", "OCCURRENCE"]
    assert updates[-1]["occurrence"]["run"] == {"output": "token-1 token-2 token-3 "}
    assert [row for row in fired if row[0] == "planned"] == [("planned", "SUCCEEDED", 1, 1)]
    of_cron = [row for row in fired if row[0] == "cron"]
    assert of_cron[0] == ("cron", "SUCCEEDED", 1, 1)
    assert {row[3] for row in of_cron} == {1}


async def test_embedded_tasks_fire_once_and_are_seen_live(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'gob.db'}"
    with GobProcess(tmp_path, {**SIMULATED, "DB_URL": url}) as gob:
        async with Client.of(gob) as client:
            await check_both_fire(client, client, url)

        assert TRACEBACK not in gob.err


@pytest.mark.postgres
@pytest.mark.redis
async def test_with_two_workers_tasks_fire_once_and_are_seen_live(
    tmp_path: Path, postgres_server: PostgresServer, redis_url: str
):
    async with new_database(postgres_server) as url:
        settings = {**QUICK, "DB_URL": url, "REDIS_URL": redis_url}
        assert run_gob(tmp_path / "migrating", "migrate", settings=settings).code == 0
        with ExitStack() as stack:
            processes = [
                stack.enter_context(GobProcess(tmp_path / name, settings, arguments=[command]))
                for name, command in (
                    ("one", "serve"),
                    ("two", "serve"),
                    ("first", "worker"),
                    ("second", "worker"),
                )
            ]
            async with Client.of(processes[0]) as client, Client.of(processes[1]) as watcher:
                await check_both_fire(client, watcher, url)

            assert [process for process in processes if TRACEBACK in process.err] == []


def each_hour() -> Mapping[str, Any]:
    """A schedule by the hour that is next due in about half an hour."""
    minute = (datetime.now(UTC).minute + 30) % 60
    return {"scheduled": {"cron": {"expression": f"{minute} * * * *"}}}


async def test_after_a_day_of_downtime_each_policy_leaves_exactly_its_rows(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'gob.db'}"
    with GobProcess(tmp_path, {**SIMULATED, "DB_URL": url}) as gob:
        async with Client.of(gob) as client:
            after = await beginning(client)
            planned = await create(client, "planned", in_seconds(3600))
            await create(client, "skip", each_hour(), missedRunPolicy="SKIP")
            once = await create(client, "once", each_hour(), missedRunPolicy="RUN_ONCE")
            each = await create(client, "all", each_hour(), missedRunPolicy="RUN_ALL")
        gob.kill()
        # The due times move instead of the clock: a day passes while nothing runs.
        await rows(url, f"UPDATE task SET next_run_at = next_run_at - {DAY_US}")
        await rows(url, "UPDATE task SET wake_at = next_run_at")
        due = dict(await rows(url, "SELECT name, next_run_at FROM task"))
        gob.start()
        async with Client.of(gob) as client:
            await until_done(client, after, {planned: 1, once: 1, each: HOURS})
        found: dict[str, list[tuple[Any, ...]]] = {}
        for name, *row in await rows(url, OUTCOMES):
            found.setdefault(name, []).append(tuple(row))
        ahead = dict(await rows(url, "SELECT name, next_run_at FROM task"))
        order = await rows(url, IN_ORDER)

        missed = [("SCHEDULE", "MISSED", due["skip"] + n * HOUR_US, 0) for n in range(HOURS)]
        late = [("CATCH_UP", "SUCCEEDED", due["skip"] + n * HOUR_US, 1) for n in range(HOURS)]
        assert due["skip"] == due["once"] == due["all"]
        assert found == {
            "planned": [("CATCH_UP", "SUCCEEDED", due["planned"], 1)],
            "skip": missed,
            "once": [*missed[:-1], late[-1]],
            "all": late,
        }
        # Runs of one task never overlap: each missed time waits for the one before it.
        assert [moment for (moment,) in order] == [row[2] for row in late]
        # The planned time is still ahead too, since only what was due has moved.
        assert ahead == {name: moment + DAY_US for name, moment in due.items()}
        assert TRACEBACK not in gob.err
